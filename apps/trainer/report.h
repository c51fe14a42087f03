#pragma once

#include <string>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/data/dataset.h>
#include <ballast/data/evaluate.h>

namespace ballast::app {

/// How a network predicts each class: tp, fp and fn are samples, or positions of samples, rightly predicted
/// as the class, wrongly predicted as it, and of it but predicted as another.
struct ClassFigures {
  int64_t tp = 0, fp = 0, fn = 0;
  int64_t samples() const { return tp + fn; }
  double precision() const { return share(tp, tp + fp); }        // tp / (tp + fp)
  double recall() const { return share(tp, tp + fn); }           // tp / (tp + fn)
  double f1() const { return share(2 * tp, 2 * tp + fp + fn); }  // their harmonic mean
  double iou() const { return share(tp, tp + fp + fn); }         // intersection over union, Jaccard's index

 private:
  /// 0 of nothing, as in scikit-learn.
  static double share(int64_t part, int64_t all) {
    return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
  }
};

/// A sample that was taken for another class, with that probability.
struct Mistake {
  int64_t index, label, prediction;
  double probability;
};

/// What a network achieves on samples that are of a class each, or have a class for each position.
struct ClassReport {
  bool of_positions = false;
  Evaluation total;
  int64_t classes = 0;
  std::vector<int64_t> confusion;  // (classes, classes): rows are the true class, columns the predicted one
  /// The expected calibration error: sum over bins of |bin| / N * |accuracy - mean confidence|, where a
  /// sample's confidence is the largest probability, and a bin one of 15 of equal width (Guo et al. 2017,
  /// arXiv:1706.04599, section 2).
  double calibration_error = 0;
  /// Of samples, not of positions: those with the highest probability, at most 24, the highest first.
  std::vector<Mistake> mistakes;

  ClassFigures of(int64_t label) const;
  /// The mean of `ClassFigures::iou` over the classes that are there or were predicted.
  double mean_iou() const;
};

/// Of more classes the confusion matrix would be large.
constexpr int64_t most_reported_classes = 4096;

/// Throws ValueError for more classes than that.
ClassReport report_on(Module& model, const Dataset& dataset, int64_t batch_size);

/// As text: a line on calibration, and of at most 20 classes the figures of each and the confusion matrix.
std::string report_text(const ClassReport& report, const std::vector<std::string>& names);

}  // namespace ballast::app
