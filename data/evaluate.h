#pragma once

#include <ballast/core/module.h>
#include <ballast/data/dataset.h>

namespace ballast::inline BALLAST_PRECISION {

/// What a classifier achieves on a data set.
struct Evaluation {
  double loss = 0;      // mean cross-entropy per sample
  int64_t correct = 0;  // samples whose largest logit is at the label
  int64_t size = 0;
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(size); }
};

/// Runs `model`, samples (N, ...) -> logits (N, classes), over the data set in an evaluation scope of its
/// own: it may be called anywhere, also while a tape trains the model, and changes neither. The batch size is
/// a matter of speed and memory only.
Evaluation evaluate(Module& model, const Dataset& dataset, int64_t batch_size = 256);

/// The share of samples classified rightly, 0 ... 1.
double accuracy(Module& model, const Dataset& dataset);

}  // namespace ballast::inline BALLAST_PRECISION
