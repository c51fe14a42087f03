#include "trainer/fit.h"

#include <fmt/format.h>

#include <optional>

#include "trainer/divergence.h"
#include "trainer/snapshot.h"

namespace ballast::app {

FitResult fit(Module& model, const Split& data, Optimizer& optimizer, const FitOptions& options,
              const TrainingEvents& events) {
  Trainer trainer(model, data, optimizer, options);
  std::optional<Snapshot> best;
  TrainingEvents with_best = events;
  with_best.epoch = [&](Trainer& t, const EpochMetrics& line) {
    if (best_epoch(t.at.history) == &t.at.history.back()) best.emplace(t.result());
    //~ best.emplace(t.result());
    if (events.epoch) events.epoch(t, line);
  };
  const TrainingResult result = run_training(trainer, with_best);
  if (best) best->restore();
  //~
  if (result.end == TrainingResult::End::diverged)
    throw Diverged(fmt::format(
        "training diverged in epoch {}, step {}: {}; where it is the learning that diverges and not the "
        "data, try a lower learning rate, a warm-up, clipping or a norm ({})",
        result.diverged.epoch, result.diverged.step, result.why,
        !best             ? "the model is worthless"
        : options.average ? "the average is that of its best epoch, the model is worthless"
                          : "the model has the weights of its best epoch"));
  const EpochMetrics* line = best_epoch(trainer.at.history);
  return {.history = trainer.at.history,
          .best = line ? *line : EpochMetrics(),
          .stopped = result.end == TrainingResult::End::stopped};
}

}  // namespace ballast::app
