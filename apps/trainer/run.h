#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/loader.h>
#include <ballast/data/score.h>
#include <ballast/layers/sequential.h>
#include <ballast/optim/ema.h>
#include <ballast/optim/optimizer.h>
#include <ballast/optim/schedule.h>

#include "options/options.h"
#include "trainer/checkpoint_info.h"

namespace ballast::app {

/// A line of metrics.jsonl.
struct EpochMetrics {
  int64_t epoch = 0, step = 0;
  double train_loss = 0, train_accuracy = 0;  // over the epoch, as the model changed
  double val_loss = 0, val_accuracy = 0;      // of the validation part after the epoch; NaN without one
  double lr = 0;                              // of the epoch's last step
  double images_per_s = 0;                    // of training alone
  double seconds = 0;                         // since the run's start, interruptions left out
};

/// Where in a run we are, and what must be remembered to go on from here.
struct Position {
  int64_t epoch = 0, batch = 0, step = 0;  // all of them done
  double loss_sum = 0;                     // over this epoch's samples so far
  int64_t correct = 0, samples = 0;
  double epoch_seconds = 0, seconds = 0;
  RandomState random;
  std::vector<EpochMetrics> history;
};

/// The epoch with the best validation accuracy and, among equals, the least validation loss; of a regression,
/// with the least loss; without a validation part the last one. Null before the first.
const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history);

/// Whether a layer has running statistics, which can be frozen.
bool keeps_statistics(Module& layer);

/// A training run: everything in it follows from the options and the position.
class Run {
 public:
  /// At the beginning of training. Throws the errors of bad options and bad data.
  explicit Run(const TrainOptions& options);
  /// One batch: forward and backward, and an update after the last of the batches that make a step (see
  /// --accumulate). Returns whether that was one. Throws Diverged if the loss, or afterwards a weight or
  /// running statistic, isn't finite: the model is then worthless.
  bool train_on(const Batch& batch);
  /// Throws Diverged if a weight or running statistic of at most so many elements isn't finite. Whoever saves
  /// checks all of them before.
  void check_weights(int64_t most = std::numeric_limits<int64_t>::max()) const;

  bool done() const { return at.epoch >= options.training.epochs || out_of_patience(); }
  /// --patience ends the run: so many epochs ago was the best one.
  bool out_of_patience() const;
  int64_t steps_per_epoch() const;
  int64_t steps() const { return options.training.epochs * steps_per_epoch(); }
  bool classifies() const { return test.kind != TargetKind::values; }
  /// The learning rate of the last step, or of the first if there was none.
  double last_lr() const { return schedule(std::max<int64_t>(at.step - 1, 0)); }
  /// The share of labels met in this epoch so far, each by the model as it was then; NaN of a regression.
  double train_accuracy() const;
  CheckpointInfo info() const;
  /// What is evaluated and handed out: the average of the weights if there is one.
  Sequential& result() { return average ? *average : model; }
  /// All that resuming needs but the position.
  std::vector<Named<Parts>> state();

  TrainOptions options;
  Fingerprint fingerprint;
  Standardization standardization;
  Standardization target_standardization;  // of a regression's targets
  TableSchema schema;
  Dataset validation, test;
  Sequential model;
  std::optional<Sequential> average;  // of the model's weights, with --ema
  std::optional<Ema> ema;             // keeps `average`
  Loader loader;
  std::unique_ptr<Optimizer> optimizer;
  Schedule schedule;
  Position at;

 private:
  Run(const TrainOptions& options, const LoadedData& data);
  /// As the model takes it.
  Dataset prepared(const Dataset& part) const;
  Score score_of(const Batch& batch);
  Score mixed_score_of(const Batch& batch);
  void add_gradients(const Batch& batch);
  double share_of_step(const Batch& batch) const;
  void update();
  const char* anomaly_advice() const;
  [[noreturn]] void fail_forward(const Batch& batch);

  Tensor class_weights_;  // none: all alike
};

}  // namespace ballast::app
