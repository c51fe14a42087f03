#include "trainer/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <ballast/core/scope.h>
#include <ballast/data/loader.h>
#include <ballast/data/score.h>

namespace ballast::app {
namespace {

constexpr size_t bins = 15;

/// Confidences in bins of equal width, (lower, upper].
class Calibration {
 public:
  void add(double confidence, bool correct) {
    const double at = std::ceil(confidence * bins) - 1;
    Bin& bin = bins_.at(static_cast<size_t>(std::clamp(at, 0.0, double{bins} - 1)));
    bin.confidence += confidence;
    bin.correct += correct;
    ++count_;
  }

  double error() const {
    double sum = 0;
    for (const Bin& bin : bins_) sum += std::abs(bin.correct - bin.confidence);
    //~ for (const Bin& bin : bins_) sum += bin.correct - bin.confidence;
    return sum / count_;
  }

 private:
  struct Bin {
    double confidence = 0, correct = 0;  // sums
  };
  std::array<Bin, bins> bins_;
  double count_ = 0;
};

struct Top {
  int64_t label;
  double probability;  // by softmax
};

Top top_of(const real* logits, int64_t classes) {
  const int64_t label = std::max_element(logits, logits + classes) - logits;
  double sum = 0;
  for (int64_t k = 0; k < classes; ++k) sum += std::exp(double{logits[k]} - double{logits[label]});
  return {label, 1 / sum};
}

/// Keeps those with the highest probability.
void keep_worst(std::vector<Mistake>& mistakes) {
  constexpr size_t most = 24;
  std::ranges::stable_sort(mistakes, std::ranges::greater(), &Mistake::probability);
  //~
  if (mistakes.size() > most) mistakes.resize(most);
}

}  // namespace

ClassFigures ClassReport::of(int64_t label) const {
  ClassFigures figures;
  for (int64_t other = 0; other < classes; ++other) {
    figures.fn += confusion[static_cast<size_t>(label * classes + other)];
    figures.fp += confusion[static_cast<size_t>(other * classes + label)];
  }
  figures.tp = confusion[static_cast<size_t>(label * classes + label)];
  figures.fn -= figures.tp;
  figures.fp -= figures.tp;
  return figures;
}

double ClassReport::mean_iou() const {
  double sum = 0;
  int64_t count = 0;
  for (int64_t label = 0; label < classes; ++label) {
    const ClassFigures figures = of(label);
    if (figures.tp + figures.fp + figures.fn == 0) continue;
    //~
    sum += figures.iou();
    ++count;
  }
  return sum / static_cast<double>(count);
}

ClassReport report_on(Module& model, const Dataset& dataset, int64_t batch_size) {
  const EvalScope evaluating;
  ClassReport report;
  report.of_positions = dataset.kind == TargetKind::positions;
  Calibration calibration;
  int64_t first = 0;  // index of the batch's first sample
  for (const Batch& batch : Loader(dataset, {.batch_size = batch_size, .shuffle = false})) {
    const Tensor output = model(batch.x);
    const Score found = score(output, batch);
    const Tensor logits = report.of_positions ? rows_of_positions(output, batch) : output;
    if (report.classes == 0) {
      report.classes = logits.size(1);
      check<ValueError>(report.classes <= most_reported_classes, "{} classes: at most {} are reported on",
                        report.classes, most_reported_classes);
      report.confusion.resize(static_cast<size_t>(report.classes * report.classes));
    }
    for (int64_t n = 0; n < batch.y.size(); ++n) {
      if (batch.y[n] == ignored_label) continue;
      //~
      const Top top = top_of(logits.data() + n * report.classes, report.classes);
      calibration.add(top.probability, top.label == batch.y[n]);
      ++report.confusion[static_cast<size_t>(batch.y[n] * report.classes + top.label)];
      //~ ++report.confusion[static_cast<size_t>(top.label * report.classes + batch.y[n])];
      if (top.label != batch.y[n] && !report.of_positions)
        report.mistakes.push_back({first + n, batch.y[n], top.label, top.probability});
    }
    first += batch.size();
    keep_worst(report.mistakes);
    report.total.loss += static_cast<double>(found.loss.item()) * static_cast<double>(found.labels);
    report.total.correct += found.correct;
    report.total.size += found.labels;
  }
  check<ValueError>(report.total.size > 0, "every label is {}, which is ignored", ignored_label);
  report.total.loss /= static_cast<double>(report.total.size);
  report.calibration_error = calibration.error();
  return report;
}

std::string report_text(const ClassReport& report, const std::vector<std::string>& names) {
  constexpr int64_t most_classes = 20;
  std::string text =
      fmt::format("expected calibration error {:.2f} % ({} bins)\n", 100 * report.calibration_error, bins);
  if (report.of_positions) text += fmt::format("mean intersection over union {:.4f}\n", report.mean_iou());
  if (report.classes > most_classes) return text;
  constexpr size_t longest = 24;
  size_t width = 5;
  for (const std::string& name : names) width = std::clamp(name.size(), width, longest);
  text += fmt::format("{:<{}}  precision  recall      F1{}\n", "class", width,
                      report.of_positions ? "     IoU   positions" : "  samples");
  for (int64_t k = 0; k < report.classes; ++k) {
    const ClassFigures figures = report.of(k);
    text += fmt::format("{:<{}}  {:>9.4f}  {:>6.4f}  {:>6.4f}", names[static_cast<size_t>(k)], width,
                        figures.precision(), figures.recall(), figures.f1());
    text += report.of_positions ? fmt::format("  {:>6.4f}  {:>10}\n", figures.iou(), figures.samples())
                                : fmt::format("  {:>7}\n", figures.samples());
  }
  const int64_t largest = *std::ranges::max_element(report.confusion);
  const size_t cell = std::max<size_t>(fmt::format("{}", largest).size(), 3) + 1;
  text += "confusion matrix: a row for each true class, a column for each predicted one, in the same order\n";
  for (int64_t k = 0; k < report.classes; ++k) {
    text += fmt::format("{:<{}}", names[static_cast<size_t>(k)], width);
    for (int64_t other = 0; other < report.classes; ++other)
      text += fmt::format("{:>{}}", report.confusion[static_cast<size_t>(k * report.classes + other)], cell);
    text += '\n';
  }
  return text;
}

}  // namespace ballast::app
