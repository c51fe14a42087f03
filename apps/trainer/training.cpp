#include "trainer/training.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <ballast/data/evaluate.h>

#include "trainer/divergence.h"

namespace ballast::app {
namespace {

using End = TrainingResult::End;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// Measures the time since the last lap.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

class Training {
 public:
  Training(Trainer& trainer, const TrainingEvents& events) : trainer_(trainer), events_(events) {}

  TrainingResult operator()() {
    while (!trainer_.done()) {
      if (const auto ended = train_epoch()) return *ended;
      if (const auto ended = finish_epoch()) return *ended;
    }
    return {End::finished};
  }

 private:
  std::optional<TrainingResult> train_epoch() {
    trainer_.loader.epoch = trainer_.at.epoch;
    for (const Batch& batch : trainer_.loader.from_batch(trainer_.at.batch)) {
      bool stepped = false;
      try {
        stepped = trainer_.train_on(batch);
      } catch (const Diverged& error) {
        return diverged(trainer_.at.step + 1, none, none, error.message);
      }
      const double seconds = watch_.lap();
      trainer_.at.epoch_seconds += seconds;
      trainer_.at.seconds += seconds;
      since_save_ += seconds;
      if (events_.step) events_.step(trainer_);
      if (!stepped) continue;
      const bool stopped = events_.stop && events_.stop();
      if (stopped || trainer_.save_due(since_save_)) {
        //~ if (trainer_.save_due(since_save_)) {
        if (const auto ended = diverged_weights()) return ended;
        //~
        save();
      }
      if (stopped) return TrainingResult{End::stopped};
      //~
    }
    return {};
  }

  void save() {
    if (events_.save) events_.save(trainer_);
    since_save_ = 0;
    trainer_.at.seconds += watch_.lap();
  }

  std::optional<TrainingResult> diverged_weights() const {
    try {
      trainer_.check_weights();
    } catch (const Diverged& error) {
      return diverged(trainer_.at.step, none, none, error.message);
    }
    return {};
  }

  std::optional<TrainingResult> finish_epoch() {
    if (const auto ended = diverged_weights()) return ended;
    //~
    const Position& at = trainer_.at;
    check<ValueError>(at.labels > 0, "training: every label of the epoch is {}, which is ignored",
                      ignored_label);
    double loss = none, accuracy = none;
    if (trainer_.validation.size > 0) {
      const Evaluation found = evaluate(trainer_.result(), trainer_.validation);
      loss = found.loss;
      if (trainer_.classifies()) accuracy = found.accuracy();
    }
    trainer_.at.seconds += watch_.lap();
    const double train_loss = at.loss_sum / static_cast<double>(at.labels);
    if (trainer_.validation.size > 0 && !std::isfinite(loss))
      return diverged(at.step, train_loss, loss, fmt::format("the loss on the validation part is {}", loss));
    const EpochMetrics line = metrics(train_loss, loss, accuracy);
    next_epoch(line);
    if (events_.epoch) events_.epoch(trainer_, line);
    //~
    save();  // last: if we are stopped before, this epoch's files are written again, with the same content
    return {};
  }

  TrainingResult diverged(int64_t step, double train_loss, double val_loss, const std::string& why) const {
    EpochMetrics line = metrics(train_loss, val_loss, none);
    line.step = step;
    return {End::diverged, line, why};
  }

  EpochMetrics metrics(double train_loss, double val_loss, double val_accuracy) const {
    const Position& at = trainer_.at;
    const double samples = static_cast<double>(at.samples);
    return {.epoch = at.epoch + 1,
            .step = at.step,
            .train_loss = train_loss,
            .train_accuracy = trainer_.train_accuracy(),
            .val_loss = val_loss,
            .val_accuracy = val_accuracy,
            .lr = trainer_.last_lr(),
            .images_per_s = samples / at.epoch_seconds,
            .seconds = at.seconds};
  }

  void next_epoch(const EpochMetrics& line) {
    Position& at = trainer_.at;
    at.history.push_back(line);
    ++at.epoch;
    at.batch = at.correct = at.samples = at.labels = 0;
    at.loss_sum = at.epoch_seconds = 0;
  }

  Trainer& trainer_;
  const TrainingEvents& events_;
  Stopwatch watch_;
  double since_save_ = 0;
};

}  // namespace

TrainingResult run_training(Trainer& trainer, const TrainingEvents& events) {
  return Training(trainer, events)();
}

}  // namespace ballast::app
