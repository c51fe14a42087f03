#include "trainer/run.h"

#include <fmt/ranges.h>

#include <algorithm>

#include <ballast/data/score.h>
#include <ballast/layers/analysis/freeze.h>

#include "trainer/models.h"
#include "trainer/optimizers.h"

namespace ballast::app {
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
    stats_frozen |= part.frozen.statistics && keeps_statistics(part);
  });
  check<ValueError>(stats_frozen,
                    "--freeze-stats {}: no layer of these has running statistics; batch norm has",
                    fmt::join(options.freeze_stats, ","));
}

Sequential seeded_model(const TrainOptions& options, const Dataset& train) {
  manual_seed(static_cast<uint64_t>(options.training.seed));
  Sequential model = make_model(options.model, train.sample_shape, train.outputs());
  freeze_parts(model, options.training);
  return model;
}

/// Batches that the model can train on. Throws ValueError if there are too few images for one.
LoaderOptions loader_options(const TrainingOptions& options, const Sequential& model, const Dataset& train) {
  const int64_t least = least_batch(model, train.sample_shape, options.batch_size);
  check<ValueError>(train.size >= least,
                    "batch normalization can't train on {} image; give more (--train-size) or another --norm",
                    train.size);
  return {.batch_size = options.batch_size, .seed = static_cast<uint64_t>(options.seed), .min_batch = least};
}

}  // namespace

bool keeps_statistics(Module& layer) {
  const LayerInfo info = layer.info();
  return info.norm && info.norm->tracks();
}

const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history) {
  const auto best = std::ranges::max_element(history, {}, &EpochMetrics::test_accuracy);
  return best == history.end() ? nullptr : &*best;
}

Run::Run(const TrainOptions& o) : Run(o, prepared_data(o)) {}

Run::Run(const TrainOptions& o, const Split& split)
    : options(o),
      fingerprint(app::fingerprint(split)),
      standardization(standardization_of(split, o.data)),
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
  const Score found = score(model(batch.x), batch);
  const double mean_loss = static_cast<double>(found.loss.item());
  tape.backward(found.loss);
  optimizer->step();

  at.correct += found.correct;
  at.loss_sum += mean_loss * static_cast<double>(batch.size());
  at.samples += batch.size();
  ++at.batch;
  ++at.step;
  at.random = random_state();
  return mean_loss;
}

double Run::train_accuracy() const {
  const int64_t labels = std::max<int64_t>(at.samples, 1) * test.target_shape.count();
  return static_cast<double>(at.correct) / static_cast<double>(labels);
}

CheckpointInfo Run::info() const {
  CheckpointInfo info{.model = options.model,
                      .data = options.data,
                      .data_name = {},
                      .fingerprint = fingerprint,
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

}  // namespace ballast::app
