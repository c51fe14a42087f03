#pragma once

#include <memory>

#include <ballast/optim/optimizer.h>
#include <ballast/optim/schedule.h>

#include "options/choice.h"
#include "options/options.h"

namespace ballast::app {

struct OptimizerDefaults {
  double lr, weight_decay;
};

struct OptimizerMaker {
  OptimizerDefaults defaults;
  /// The options have been validated: rate and decay are filled in.
  std::unique_ptr<Optimizer> (*make)(Module&, const TrainingOptions&);
};

const Choices<OptimizerMaker>& optimizers();

/// What the option --schedule names; `steps` are those of the run after the warm-up.
using ScheduleMaker = Schedule (*)(double lr, int64_t steps);
const Choices<ScheduleMaker>& schedules();

std::unique_ptr<Optimizer> make_optimizer(const TrainingOptions& options, Module& model);

/// The schedule of a run of so many steps, warm-up included. Throws ValueError if the warm-up leaves none.
Schedule make_schedule(const TrainingOptions& options, int64_t steps);

}  // namespace ballast::app
