#pragma once

#include <functional>
#include <string>

#include "trainer/trainer.h"

namespace ballast::app {

/// What happens during training, for whoever shows, keeps or stops it. Each may be missing.
struct TrainingEvents {
  std::function<void(const Trainer&)> step = {};
  /// After an epoch and its evaluation, which is the last line of the history.
  std::function<void(Trainer&, const EpochMetrics&)> epoch = {};
  /// Resuming starts from what is saved here.
  std::function<void(Trainer&)> save = {};
  /// Asked after each step: whether to end here.
  std::function<bool()> stop = {};
};

struct TrainingResult {
  enum class End { finished, stopped, diverged };
  End end;
  /// Of a training that diverged: the line of the epoch that it didn't finish, the step that failed, and why.
  EpochMetrics diverged = {};
  std::string why = {};
};

/// Takes training from where it is to its end, or to where it is stopped; then it has been saved.
TrainingResult run_training(Trainer& trainer, const TrainingEvents& events);

}  // namespace ballast::app
