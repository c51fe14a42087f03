#pragma once

#include <ballast/core/module.h>
#include <ballast/data/dataset.h>

namespace ballast::inline BALLAST_PRECISION {

/// What a model achieves on a data set, by what its targets are.
struct Evaluation {
  /// Labels: the mean cross-entropy per label. Values: the mean squared error.
  double loss = 0;
  int64_t correct = 0;        // labels at which the largest logit is
  int64_t size = 0;           // labels that aren't ignored, of samples or of all their positions; or values
  double absolute_error = 0;  // of values, the mean
  /// Of values, the coefficient of determination 1 - sum (y - f)^2 / sum (y - mean y)^2, the mean over the
  /// columns; in a constant column it is 1 if all are met, else 0, as in scikit-learn.
  double r2 = 0;
  /// The share of labels met, 0 ... 1.
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(size); }
};

/// Runs `model` over the data set in an evaluation scope of its own: it may be called anywhere, also while a
/// tape trains the model, and changes neither. What the model must give is that of `score`. The batch size is
/// a matter of speed and memory only. Throws ValueError if every label is ignored.
Evaluation evaluate(Module& model, const Dataset& dataset, int64_t batch_size = 256);

/// The share of labels met, 0 ... 1. Throws UsageError where targets are values.
double accuracy(Module& model, const Dataset& dataset);

}  // namespace ballast::inline BALLAST_PRECISION
