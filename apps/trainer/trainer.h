#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/core/random.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/loader.h>
#include <ballast/data/score.h>
#include <ballast/optim/ema.h>
#include <ballast/optim/optimizer.h>
#include <ballast/optim/schedule.h>

namespace ballast::app {

/// What an epoch has come to.
struct EpochMetrics {
  int64_t epoch = 0, step = 0;                // from 1
  double train_loss = 0, train_accuracy = 0;  // over the epoch, as the model changed; accuracy NaN of values
  double val_loss = 0, val_accuracy = 0;      // of the validation part after the epoch; NaN without one
  double lr = 0;                              // of the epoch's last step
  double images_per_s = 0;                    // of training alone
  double seconds = 0;                         // since training began, interruptions left out
};

/// Where training is, and what must be remembered to go on from here.
struct Position {
  int64_t epoch = 0, batch = 0, step = 0;  // all of them done
  double loss_sum = 0;                     // over this epoch's labels so far, or samples of a regression
  int64_t correct = 0, samples = 0;
  int64_t labels = 0;  // that loss_sum is over: those that aren't ignored
  double epoch_seconds = 0, seconds = 0;
  RandomState random;
  std::vector<EpochMetrics> history;
};

/// The epoch with the best validation accuracy and, among equals, the least validation loss; of a regression,
/// with the least loss; without a validation part the last one. Null before the first.
const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history);

struct FitOptions {
  int64_t epochs = 3;
  /// Size, order and reading of the batches. With batch norm, `min_batch = 2`: it can't train on one sample.
  LoaderOptions loader = {};
  /// Makes the schedule of the learning rate for the number of steps there will be; none: the optimizer's
  /// rate stays.
  std::function<Schedule(int64_t steps)> schedule = {};
  int64_t accumulate = 1;      // batches whose gradients make one step
  double clip = 0;             // limit of the gradients' norm; 0: none
  double label_smoothing = 0;  // this and the weights are as for `cross_entropy`
  Tensor class_weights = {};
  double mixup = 0;      // alpha of mixup (Zhang et al. 2018); 0: none
  int64_t patience = 0;  // ends after so many epochs without a better one; 0: never
  /// A copy of the model, to hold the moving average of its weights. It is then what is evaluated, and what
  /// training results in.
  Module* average = nullptr;
  double average_decay = 0.999;  // after a warm-up, see EmaOptions
  bool anomaly = false;          // where the loss or a gradient isn't finite, name the operation; slower
  /// What an error says where `anomaly` would have told more.
  std::string anomaly_hint = "FitOptions::anomaly names the operation";
  // How often to save within an epoch: after so many steps, or else so many seconds.
  int64_t save_steps = 0;
  double save_seconds = std::numeric_limits<double>::infinity();
};

/// A model that is being trained: all that training takes, and where it is. Model, optimizer and average are
/// the caller's, and must outlive it.
class Trainer {
 public:
  /// At the beginning of training on the parts `train` and `validation` of the data. Throws ValueError for
  /// options that make no sense or have no effect on these data.
  Trainer(Module& model, const Split& data, Optimizer& optimizer, FitOptions options);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// One batch: forward and backward, and an update after the last of the batches that make a step (see
  /// FitOptions::accumulate). Returns whether that was one. Throws Diverged if the loss, or afterwards a
  /// weight or running statistic, isn't finite: the model is then worthless.
  bool train_on(const Batch& batch);
  /// Throws Diverged if a weight or running statistic of at most so many elements isn't finite. Whoever saves
  /// checks all of them before.
  void check_weights(int64_t most = std::numeric_limits<int64_t>::max()) const;

  bool done() const { return at.epoch >= options_.epochs || out_of_patience(); }
  /// FitOptions::patience ends the training: so many epochs ago was the best one.
  bool out_of_patience() const;
  int64_t steps_per_epoch() const;
  int64_t steps() const { return options_.epochs * steps_per_epoch(); }
  bool save_due(double seconds_since_save) const;
  bool classifies() const { return loader.dataset().kind != TargetKind::values; }
  /// The learning rate of the last step, or of the first if there was none.
  double last_lr() const;
  /// The share of labels met in this epoch so far, each by the model as it was then; NaN of a regression.
  double train_accuracy() const;
  /// What is evaluated and handed out: the average of the weights if there is one.
  Module& result() { return options_.average ? *options_.average : model_; }
  /// All that resuming needs but the position.
  std::vector<Named<Parts>> state();

  Dataset validation;
  Loader loader;
  Schedule schedule;  // may be none
  Position at;

 private:
  Score score_of(const Batch& batch);
  Score mixed_score_of(const Batch& batch);
  void add_gradients(const Batch& batch);
  double share_of_step(const Batch& batch) const;
  void update();
  std::string anomaly_hint() const;
  [[noreturn]] void fail_forward(const Batch& batch);

  Module& model_;
  Optimizer& optimizer_;
  FitOptions options_;
  std::optional<Ema> ema_;
};

}  // namespace ballast::app
