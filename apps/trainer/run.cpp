#include "trainer/run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ballast/data/augment.h>
#include <ballast/data/score.h>
#include <ballast/layers/analysis/freeze.h>

#include "trainer/models.h"
#include "trainer/optimizers.h"

namespace ballast::app {
namespace {

LoadedData prepared_data(const TrainOptions& options) {
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

/// Throws ValueError for options that these data leave without effect.
LoadedData checked(const TrainOptions& options, LoadedData data) {
  check<ValueError>(options.training.patience == 0 || data.split.validation.size > 0,
                    "--patience {}: without a validation part no epoch is better than another; leave it out",
                    options.training.patience);
  check<ValueError>(options.training.label_smoothing == 0 || data.split.train.kind != TargetKind::values,
                    "--label-smoothing {}: the targets are numbers; leave it out",
                    options.training.label_smoothing);
  return data;
}

/// The options, with the default model for data that are no images.
TrainOptions fitted(TrainOptions options, const Dataset& train) {
  check<ValueError>(train.kind == TargetKind::values || train.classes >= 2,
                    "--data {}: all samples are of the same class; there is nothing to learn from them",
                    options.data.data);
  const bool images = train.sample_shape.rank() == 3;
  if (!images && !options.given.contains("model") && options.model.model == ModelOptions().model)
    options.model.model = "mlp";
  check_effect(options.model, options.given);
  return options;
}

Sequential seeded_model(const TrainOptions& options, const Dataset& train) {
  manual_seed(static_cast<uint64_t>(options.training.seed));
  Sequential model = make_model(options.model, train.sample_shape, train.outputs());
  freeze_parts(model, options.training);
  return model;
}

/// The training images, changed at random as --augment says.
Dataset augmented_images(const TrainOptions& options, const Dataset& train) {
  const std::string& text = options.training.augment;
  const Augmentation augmentation = parse_augmentation(text);
  if (augmentation.str() == "none") return train;
  check<ValueError>(train.sample_shape.rank() == 3,
                    "--augment {}: it changes images, and the samples are {}; leave it out", text,
                    train.sample_shape);
  return augmented(train, augmentation);
}

/// Batches that the model can train on. Throws ValueError if there are too few images for one.
LoaderOptions loader_options(const TrainingOptions& options, const Sequential& model, const Dataset& train) {
  const int64_t least = least_batch(model, train.sample_shape, options.batch_size);
  check<ValueError>(train.size >= least,
                    "batch normalization can't train on {} image; give more (--train-size) or another --norm",
                    train.size);
  return {.batch_size = options.batch_size,
          .seed = static_cast<uint64_t>(options.seed),
          .min_batch = least,
          .workers = static_cast<int>(options.workers)};
}

}  // namespace

bool keeps_statistics(Module& layer) {
  const LayerInfo info = layer.info();
  return info.norm && info.norm->tracks();
}

const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history) {
  if (history.empty()) return nullptr;
  if (std::isnan(history[0].val_loss)) return &history.back();
  if (std::isnan(history[0].val_accuracy))
    return &*std::ranges::min_element(history, {}, &EpochMetrics::val_loss);
  return &*std::ranges::max_element(
      history, {}, [](const EpochMetrics& m) { return std::pair(m.val_accuracy, -m.val_loss); });
}

Run::Run(const TrainOptions& o) : Run(o, checked(o, prepared_data(o))) {}

Run::Run(const TrainOptions& o, const LoadedData& data)
    : options(fitted(o, data.split.train)),
      fingerprint(app::fingerprint(data.split)),
      standardization(standardization_of(data.split, o.data)),
      target_standardization(data.split.train.kind == TargetKind::values ? measure_targets(data.split.train)
                                                                         : Standardization()),
      schema(data.schema),
      validation(prepared(data.split.validation)),
      test(prepared(data.split.test)),
      model(seeded_model(options, data.split.train)),
      loader(prepared(augmented_images(options, data.split.train)),
             loader_options(options.training, model, data.split.train)),
      optimizer(make_optimizer(options.training, model)),
      schedule_(make_schedule(options.training, steps())) {
  at.random = random_state();
}

Dataset Run::prepared(const Dataset& part) const {
  if (part.size == 0) return part;
  return app::prepared(part, standardization, target_standardization);
}

double Run::step(const Batch& batch) {
  optimizer->set_lr(schedule_(at.step));
  Tape tape;
  const Score found = score(model(batch.x), batch, static_cast<real>(options.training.label_smoothing));
  const double mean_loss = static_cast<double>(found.loss.item());
  tape.backward(found.loss);
  if (options.training.clip > 0) optimizer->clip_grad_norm(options.training.clip);
  optimizer->step();

  at.correct += found.correct;
  at.loss_sum += mean_loss * static_cast<double>(batch.size());
  at.samples += batch.size();
  ++at.batch;
  ++at.step;
  at.random = random_state();
  return mean_loss;
}

bool Run::out_of_patience() const {
  const int64_t patience = options.training.patience;
  const EpochMetrics* best = best_epoch(at.history);
  return patience > 0 && best && at.epoch - best->epoch >= patience;
}

double Run::train_accuracy() const {
  if (!classifies()) return std::numeric_limits<double>::quiet_NaN();
  const int64_t labels = std::max<int64_t>(at.samples, 1) * test.target_shape.count();
  return static_cast<double>(at.correct) / static_cast<double>(labels);
}

CheckpointInfo Run::info() const {
  CheckpointInfo info{.model = options.model,
                      .data = options.data,
                      .data_name = {},
                      .fingerprint = fingerprint,
                      .sample_shape = test.sample_shape,
                      .outputs = test.outputs(),
                      .kind = test.kind,
                      .class_names = test.class_names,
                      .schema = schema,
                      .standardization = standardization,
                      .target_standardization = target_standardization,
                      .epoch = at.epoch,
                      .step = at.step};
  if (!at.history.empty()) {
    info.val_loss = at.history.back().val_loss;
    info.val_accuracy = at.history.back().val_accuracy;
  }
  return info;
}

}  // namespace ballast::app
