#include "trainer/optimizers.h"

#include <algorithm>

#include <ballast/optim/adam.h>
#include <ballast/optim/rmsprop.h>
#include <ballast/optim/sgd.h>

namespace ballast::app {

const Choices<OptimizerMaker>& optimizers() {
  static const Choices<OptimizerMaker> table = {
      {"sgd",
       "stochastic gradient descent with momentum",
       {{.lr = 0.05, .weight_decay = 0},
        [](Module& model, const TrainingOptions& o) -> std::unique_ptr<Optimizer> {
          return std::make_unique<SGD>(
              model, SGDOptions{.lr = *o.lr, .momentum = o.momentum, .weight_decay = *o.weight_decay});
        }},
       {"momentum"}},
      {"rmsprop",
       "",
       {{.lr = 0.001, .weight_decay = 0},
        [](Module& model, const TrainingOptions& o) -> std::unique_ptr<Optimizer> {
          return std::make_unique<RMSprop>(model,
                                           RMSpropOptions{.lr = *o.lr, .weight_decay = *o.weight_decay});
        }}},
      {"adam",
       "",
       {{.lr = 0.003, .weight_decay = 0},
        [](Module& model, const TrainingOptions& o) -> std::unique_ptr<Optimizer> {
          return std::make_unique<Adam>(model, AdamOptions{.lr = *o.lr, .weight_decay = *o.weight_decay});
        }}},
      {"adamw",
       "adam with decoupled weight decay",
       {{.lr = 0.003, .weight_decay = 0.01},
        [](Module& model, const TrainingOptions& o) -> std::unique_ptr<Optimizer> {
          return std::make_unique<AdamW>(model, AdamWOptions{.lr = *o.lr, .weight_decay = *o.weight_decay});
        }}},
  };
  return table;
}

const Choices<ScheduleMaker>& schedules() {
  static const Choices<ScheduleMaker> table = {
      {"constant", "", [](double lr, int64_t) { return schedule::constant(lr); }},
      {"step", "a tenth after each third",
       [](double lr, int64_t steps) { return schedule::step(lr, std::max<int64_t>(1, (steps + 2) / 3)); }},
      {"cosine", "", [](double lr, int64_t steps) { return schedule::cosine(lr, steps); }},
      {"one-cycle", "", [](double lr, int64_t steps) { return schedule::one_cycle(lr, steps); }},
  };
  return table;
}

std::unique_ptr<Optimizer> make_optimizer(const TrainingOptions& options, Module& model) {
  return find("optimizer", optimizers(), options.optimizer).make.make(model, options);
}

Schedule make_schedule(const TrainingOptions& options, int64_t steps) {
  check<ValueError>(options.warmup < steps, "--warmup {}: the whole run has only {} steps", options.warmup,
                    steps);
  const Schedule schedule =
      find("schedule", schedules(), options.schedule).make(*options.lr, steps - options.warmup);
  return options.warmup > 0 ? schedule::warm_up(options.warmup, schedule) : schedule;
}

}  // namespace ballast::app
