#include "trainer/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ballast::app {
namespace {

Histogram histogram_of(const Tensor& values) {
  constexpr size_t bins = 40;
  Histogram histogram;
  const auto [least, largest] = std::ranges::minmax_element(values.values());
  histogram.least = double{*least}, histogram.largest = double{*largest};
  histogram.count = static_cast<double>(values.count());
  histogram.bins.resize(bins);
  const double width = (histogram.largest - histogram.least) / static_cast<double>(bins);
  for (const real element : values.values()) {
    const auto value = double{element};
    histogram.sum += value, histogram.sum_squares += value * value;
    const double bin = width > 0 ? (value - histogram.least) / width : 0;
    ++histogram.bins[std::min(static_cast<size_t>(bin), bins - 1)];
  }
  return histogram;
}

Histogram histogram_of(const ActivationStats& stats) {
  // Those between the percentiles.
  const auto count =
      static_cast<double>(std::accumulate(stats.histogram.begin(), stats.histogram.end(), int64_t{0}));
  return {.least = stats.percentiles.front(),
          .largest = stats.percentiles.back(),
          .count = count,
          .sum = count * stats.mean,
          .sum_squares = count * (stats.variance + stats.mean * stats.mean),
          .bins = stats.histogram};
}

}  // namespace

TensorBoard::TensorBoard(const Run& run, const std::string& path)
    : file_(path, run.at.step), step_(run.at.step), labels_(run.at.labels), loss_sum_(run.at.loss_sum) {}

void TensorBoard::step(const Run& run) {
  const Position& at = run.at;
  if (at.step == step_) return;  // more batches are to be accumulated
  if (at.labels > labels_)
    file_.scalar("step/loss", at.step, (at.loss_sum - loss_sum_) / static_cast<double>(at.labels - labels_));
  file_.scalar("step/lr", at.step, run.last_lr());
  step_ = at.step, labels_ = at.labels, loss_sum_ = at.loss_sum;
}

void TensorBoard::epoch(Run& run, const EpochMetrics& m) {
  const auto scalar = [&](const char* tag, double value) {
    if (!std::isnan(value)) file_.scalar(tag, m.step, value);
  };
  scalar("epoch", static_cast<double>(m.epoch));
  scalar("loss/train", m.train_loss), scalar("loss/val", m.val_loss);
  scalar("accuracy/train", m.train_accuracy), scalar("accuracy/val", m.val_accuracy);
  scalar("lr", m.lr), scalar("images_per_s", m.images_per_s), scalar("seconds", m.seconds);
  for_each_parameter(run.model, [&](const std::string& name, const Parameter& p) {
    file_.histogram("parameters/" + name, m.step, histogram_of(p.value()));
  });
  labels_ = 0, loss_sum_ = 0;
  //~
}

void TensorBoard::layers(int64_t step, const Probe& probe) {
  for (const LayerProbe& layer : probe.layers()) {
    const auto add = [&](const char* what, const ActivationStats& stats) {
      if (!stats.percentiles.empty())
        file_.histogram(fmt::format("{}/{}", what, layer.path), step, histogram_of(stats));
    };
    add("outputs", layer.output), add("gradients", layer.gradient);
  }
}

void TensorBoard::mistakes(const Run& run, const TestReport& report, const Dataset& test) {
  if (test.sample_shape.rank() != 3) return;
  const std::vector<std::string> names = output_names(run.info());
  const auto name = [&](int64_t label) { return names[static_cast<size_t>(label)]; };
  for (size_t i = 0; i < report.classes.mistakes.size(); ++i) {
    const Mistake& mistake = report.classes.mistakes[i];
    file_.image(fmt::format("mistakes/{:02}: {} taken for {} with {:.1f} %", i + 1, name(mistake.label),
                            name(mistake.prediction), 100 * mistake.probability),
                run.at.step, image_of(test.sample(mistake.index).x, test.sample_shape, run.standardization));
  }
}

}  // namespace ballast::app
