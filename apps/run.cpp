#include "run.h"

#include <fmt/ranges.h>

#include <algorithm>

#include <ballast/core/freeze.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/optim/adam.h>
#include <ballast/optim/sgd.h>

#include "models.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

Split prepared_data(const TrainOptions& options) {
  use_threads(options.training.threads);
  return load_data(options.data);
}

// One of the options that freeze: `what` for every pattern.
void freeze_parts(Sequential& model, const char* option, const std::vector<std::string>& patterns,
                  const Freezing& what) {
  for (const std::string& pattern : patterns) {
    try {
      freeze(model, pattern, what);
    } catch (const UsageError& error) {
      throw ValueError(fmt::format("--{}: {}", option, error.message));
    }
  }
}

void freeze_parts(Sequential& model, const TrainingOptions& options) {
  freeze_parts(model, "freeze", options.freeze, {.parameters = true});
  freeze_parts(model, "freeze-stats", options.freeze_stats, {.stats = true});
  freeze_parts(model, "freeze-mode", options.freeze_mode, {.mode = true});
  bool trains = false;
  for_each_parameter(model, [&](const std::string&, Parameter& p) { trains |= p.trainable(); });
  check<ValueError>(trains, "--freeze {}: no parameter is left to train", fmt::join(options.freeze, ","));
  bool stats_frozen = options.freeze_stats.empty();
  for_each_module(model, [&](const std::string&, Module& part) {
    const auto norm = dynamic_cast<const TrackingNorm*>(&part);
    stats_frozen |= norm && norm->options.track_running_stats && norm->frozen.statistics;
  });
  check<ValueError>(stats_frozen,
                    "--freeze-stats {}: no layer of these has running statistics; batch norm has",
                    fmt::join(options.freeze_stats, ","));
}

Sequential seeded_model(const TrainOptions& options, const Dataset& train) {
  manual_seed(options.training.seed);
  Sequential model = make_model(options.model, train.sample_shape, train.classes);
  freeze_parts(model, options.training);
  return model;
}

LoaderOptions loader_options(const TrainingOptions& options, const Sequential& model, const Dataset& train) {
  return {.batch_size = options.batch_size,
          .seed = options.seed,
          .min_batch = least_batch(model, train.sample_shape, options.batch_size)};
}

std::unique_ptr<Optimizer> make_optimizer(const TrainingOptions& options, Module& model) {
  const double lr = *options.lr, decay = *options.weight_decay;
  if (options.optimizer == "sgd")
    return std::make_unique<SGD>(model,
                                 SGDOptions{.lr = lr, .momentum = options.momentum, .weight_decay = decay});
  if (options.optimizer == "adam")
    return std::make_unique<Adam>(model, AdamOptions{.lr = lr, .weight_decay = decay});
  return std::make_unique<AdamW>(model, AdamWOptions{.lr = lr, .weight_decay = decay});
}

Schedule make_schedule(const TrainingOptions& options, int64_t steps) {
  const double lr = *options.lr;
  check<ValueError>(options.warmup < steps, "--warmup {}: the whole run has only {} steps", options.warmup,
                    steps);
  steps -= options.warmup;
  Schedule schedule = schedule::constant(lr);
  if (options.schedule == "step") schedule = schedule::step(lr, std::max<int64_t>(1, (steps + 2) / 3));
  if (options.schedule == "cosine") schedule = schedule::cosine(lr, steps);
  if (options.schedule == "one-cycle") schedule = schedule::one_cycle(lr, steps);
  return options.warmup > 0 ? schedule::warm_up(options.warmup, schedule) : schedule;
}

}  // namespace

const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history) {
  const auto best = std::ranges::max_element(history, {}, &EpochMetrics::test_accuracy);
  return best == history.end() ? nullptr : &*best;
}

Run::Run(const TrainOptions& o) : Run(o, prepared_data(o)) {}

Run::Run(const TrainOptions& o, const Split& split)
    : options(o),
      standardization(measure(split.train)),
      test(standardized(split.test, standardization)),
      model(seeded_model(o, split.train)),
      loader(standardized(split.train, standardization), loader_options(o.training, model, split.train)),
      optimizer(make_optimizer(o.training, model)),
      schedule_(make_schedule(o.training, steps())) {
  at.random = random_state();
}

double Run::step(const Batch& batch) {
  optimizer->set_lr(schedule_(at.step));
  Tape tape;
  Tensor logits = model(batch.x);
  const Labels found = argmax(logits);
  const Tensor loss = cross_entropy(std::move(logits), batch.y);
  const double mean_loss = static_cast<double>(loss.item());
  tape.backward(loss);
  optimizer->step();

  const int64_t count = batch.y.size();
  for (int64_t n = 0; n < count; ++n) at.correct += found[n] == batch.y[n];
  at.loss_sum += mean_loss * static_cast<double>(count);
  at.samples += count;
  ++at.batch;
  ++at.step;
  at.random = random_state();
  return mean_loss;
}

CheckpointInfo Run::info() const {
  CheckpointInfo info{.model = options.model,
                      .data = options.data,
                      .sample_shape = test.sample_shape,
                      .classes = test.classes,
                      .standardization = standardization,
                      .epoch = at.epoch,
                      .step = at.step};
  if (!at.history.empty()) {
    info.test_loss = at.history.back().test_loss;
    info.test_accuracy = at.history.back().test_accuracy;
  }
  return info;
}

}  // namespace ballast::inline BALLAST_PRECISION
