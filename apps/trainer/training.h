#pragma once

#include <functional>
#include <string>

#include "options/options.h"
#include "trainer/run.h"

namespace ballast::app {

/// What happens during training, for whoever shows, keeps or stops it. All must be set.
struct TrainingEvents {
  std::function<void(const Run&)> step;
  /// After an epoch and its evaluation, which is the last line of the run's history.
  std::function<void(Run&, const EpochMetrics&)> epoch;
  /// Resuming starts from what is saved here.
  std::function<void(Run&)> save;
  /// Asked after each step.
  std::function<bool()> stop;
};

struct TrainingResult {
  enum class End { finished, stopped, diverged };
  End end;
  /// Of a diverged run: the line of the epoch that it didn't finish, the step that failed, and why.
  EpochMetrics diverged = {};
  std::string why = {};
};

/// Takes a run from where it is to its end, or to where it is stopped; a run that is stopped has been saved.
TrainingResult run_training(Run& run, const TrainingEvents& events);

}  // namespace ballast::app
