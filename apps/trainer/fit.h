#pragma once

#include <vector>

#include "trainer/training.h"

namespace ballast::app {

struct FitResult {
  std::vector<EpochMetrics> history;
  /// The epoch whose weights the model has now; epoch 0 if none was finished.
  EpochMetrics best;
  /// Whether TrainingEvents::stop ended the training.
  bool stopped = false;
};

/// Trains a model on the part `train` of the data and leaves it with the weights of its best epoch. That is
/// the one that does best on the part `validation`, see `best_epoch`; without such a part, the last. The loss
/// is that of `score`, so that it follows from the targets. The part `test` isn't looked at. Prints and
/// writes nothing: that is for `events`. With FitOptions::average, what is said here of the model's weights
/// holds of the average's: these are evaluated, and left as they were after the best epoch. The model itself
/// keeps those of the last step.
///
///     FitResult result = fit(net, split_off(data.train, 0.1), optimizer, {.epochs = 10, .patience = 3},
///                            {.epoch = [](const Trainer&, const EpochMetrics& epoch) { ... }});
///
/// Throws Diverged if NaN or infinity comes up; the model then has the weights of the best epoch before, if
/// there was one. What the events throw ends it, too, with the weights as they are.
FitResult fit(Module& model, const Split& data, Optimizer& optimizer, const FitOptions& options = {},
              const TrainingEvents& events = {});

}  // namespace ballast::app
