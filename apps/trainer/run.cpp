#include "trainer/run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/parallel.h>
#include <ballast/data/augment.h>
#include <ballast/data/score.h>
#include <ballast/layers/analysis/freeze.h>

#include "trainer/divergence.h"
#include "trainer/mixup.h"
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

/// A training part that has the samples of one batch again and again, and a validation part that has them
/// once.
Split one_batch(const TrainingOptions& options, Split split) {
  const int64_t size = split.train.size, wanted = batch_size_for(options, size);
  Dataset batch = split.train;
  if (wanted < size)
    batch = split_off(split.train, static_cast<double>(wanted) / static_cast<double>(size),
                      static_cast<uint64_t>(options.seed))
                .validation;
  std::vector<int64_t> indices(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) indices[static_cast<size_t>(i)] = i % batch.size;
  split.train = subset(batch, std::move(indices));
  split.validation = batch;
  return split;
}

std::vector<real> balanced_weights(const Dataset& train) {
  std::vector<int64_t> counts(static_cast<size_t>(train.classes));
  int64_t labels = 0;
  for (int64_t n = 0; n < train.size; ++n)
    for (const int32_t label : train.sample(n).labels)
      if (label != ignored_label) ++counts.at(static_cast<size_t>(label)), ++labels;
  std::vector<real> weights;
  weights.reserve(counts.size());
  for (const int64_t count : counts)  // a class without samples has no effect
    weights.push_back(static_cast<real>(static_cast<double>(labels) /
                                        static_cast<double>(train.classes * std::max<int64_t>(count, 1))));
  return weights;
}

/// What --class-weights says, as cross_entropy takes it. Throws ValueError unless it fits the data.
Tensor weights_of_classes(const std::string& text, const Dataset& train) {
  if (text == "none") return {};
  check<ValueError>(train.kind != TargetKind::values,
                    "--class-weights {}: the targets are numbers; leave it out", text);
  const std::vector<real> weights = text == "balanced" ? balanced_weights(train) : parse_class_weights(text);
  check<ValueError>(static_cast<int64_t>(weights.size()) == train.classes,
                    "--class-weights {}: {} weights for {} classes", text, weights.size(), train.classes);
  return tensor(weights, {train.classes});
}

/// Throws ValueError for options that these data leave without effect.
LoadedData checked(const TrainOptions& options, LoadedData data) {
  check<ValueError>(options.training.patience == 0 || data.split.validation.size > 0,
                    "--patience {}: without a validation part no epoch is better than another; leave it out",
                    options.training.patience);
  check<ValueError>(options.training.label_smoothing == 0 || data.split.train.kind != TargetKind::values,
                    "--label-smoothing {}: the targets are numbers; leave it out",
                    options.training.label_smoothing);
  if (options.training.overfit_one_batch) data.split = one_batch(options.training, data.split);
  return data;
}

/// The options, with the defaults that depend on the data.
TrainOptions fitted(TrainOptions options, const Dataset& train) {
  check<ValueError>(train.kind == TargetKind::values || train.classes >= 2,
                    "--data {}: all samples are of the same class; there is nothing to learn from them",
                    options.data.data);
  const bool images = train.sample_shape.rank() == 3;
  if (!images && !options.given.contains("model") && options.model.model == ModelOptions().model)
    options.model.model = "mlp";
  check_effect(options.model, options.given);
  options.training.batch_size = batch_size_for(options.training, train.size);
  options.training.epochs = epochs_for(options.training, train.size);
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
                    "batch normalization can't train on {} {}; give more, or another --norm", train.size,
                    unit_of(train));
  return {.batch_size = options.batch_size,
          .shuffle = !options.overfit_one_batch,
          .seed = static_cast<uint64_t>(options.seed),
          .min_batch = least,
          .workers = static_cast<int>(options.workers)};
}

FitOptions fit_options(RunParts& parts, const Dataset& train) {
  const TrainingOptions& options = parts.options.training;
  const SaveInterval save = parse_save_interval(options.save_every);
  return {.epochs = options.epochs,
          .loader = loader_options(options, parts.model, train),
          .schedule = [options](int64_t steps) { return make_schedule(options, steps); },
          .accumulate = options.accumulate,
          .clip = options.clip,
          .label_smoothing = options.label_smoothing,
          .class_weights = weights_of_classes(options.class_weights, train),
          .mixup = options.mixup,
          .patience = options.patience,
          .average = parts.average ? &*parts.average : nullptr,
          .average_decay = options.ema,
          .anomaly = parts.options.anomaly,
          .anomaly_hint = "--resume with --anomaly names the operation",
          .save_steps = save.steps,
          .save_seconds = save.seconds};
}

}  // namespace

bool keeps_statistics(Module& layer) {
  const LayerInfo info = layer.info();
  return info.norm && info.norm->tracks();
}

Run::Run(const TrainOptions& o) : Run(o, checked(o, prepared_data(o))) {}

RunParts::RunParts(const TrainOptions& o, const LoadedData& data)
    : options(fitted(o, data.split.train)),
      fingerprint(app::fingerprint(data.split)),
      standardization(standardization_of(data.split, o.data)),
      target_standardization(data.split.train.kind == TargetKind::values ? measure_targets(data.split.train)
                                                                         : Standardization()),
      schema(data.schema),
      test(prepared(data.split.test)),
      model(seeded_model(options, data.split.train)),
      average(options.training.ema > 0 ? std::optional(model) : std::nullopt),
      optimizer(make_optimizer(options.training, model)) {}

Dataset RunParts::prepared(const Dataset& part) const {
  if (part.size == 0) return part;
  return app::prepared(part, standardization, target_standardization);
}

Run::Run(const TrainOptions& o, const LoadedData& data)
    : RunParts(o, data),
      Trainer(model,
              {.train = prepared(augmented_images(options, data.split.train)),
               .validation = prepared(data.split.validation)},
              *optimizer, fit_options(*this, data.split.train)) {}

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
