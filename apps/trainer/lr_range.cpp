#include "trainer/lr_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include <ballast/layers/analysis/spectrum.h>

#include "trainer/divergence.h"
#include "trainer/snapshot.h"

namespace ballast::app {
namespace {

/// Gives a run its state back: all that is saved of it, position, schedule and random numbers.
class RestoreRun {
 public:
  explicit RestoreRun(Run& run) : run_(run), schedule_(run.schedule), at_(run.at) {
    for (const Named<Parts>& named : run.state()) values_.emplace_back(named.parts);
  }
  RestoreRun(const RestoreRun&) = delete;
  RestoreRun& operator=(const RestoreRun&) = delete;
  ~RestoreRun() {
    run_.optimizer->zero_grad();  // of a step that wasn't finished
    for (const Snapshot& values : values_) values.restore();
    run_.schedule = std::move(schedule_);
    //~
    run_.at = std::move(at_);
    run_.loader.epoch = run_.at.epoch;
  }

 private:
  Run& run_;
  Schedule schedule_;
  Position at_;
  RestoreRandomState random_;
  std::vector<Snapshot> values_;
};

/// Trains a run on its batches, epoch after epoch, with a rate that is given for each step.
class Stepper {
 public:
  explicit Stepper(Run& run) : run_(run) {
    run.schedule = [this](int64_t) { return lr_; };
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  /// The loss of a step; infinite where it diverges.
  double operator()(double lr) {
    lr_ = lr;
    const double loss = run_.at.loss_sum;
    const int64_t labels = run_.at.labels;
    try {
      while (!run_.train_on(next_batch()) ||
             run_.at.labels == labels) {  // a batch may have only ignored labels
      }
    } catch (const Diverged&) {
      return std::numeric_limits<double>::infinity();
    }
    return (run_.at.loss_sum - loss) / static_cast<double>(run_.at.labels - labels);
  }

 private:
  const Batch& next_batch() {
    if (batch_) ++*batch_;
    if (batch_ && *batch_ != run_.loader.end()) return **batch_;
    if (batch_) ++run_.at.epoch;
    run_.at.batch = 0;
    run_.loader.epoch = run_.at.epoch;
    batch_.emplace(run_.loader.begin());
    return **batch_;
  }

  Run& run_;
  double lr_ = 0;
  std::optional<Loader::Iterator> batch_;
};

}  // namespace

std::vector<LrTrial> lr_range(const std::function<double(double lr)>& step, const LrRangeOptions& options) {
  const double growth = std::log(options.to / options.from) / static_cast<double>(options.steps - 1);
  std::vector<LrTrial> trials;
  double average = 0, least = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < options.steps; ++i) {
    const double lr = options.from * std::exp(growth * static_cast<double>(i)), loss = step(lr);
    //~ const double lr = options.from * std::exp(growth * static_cast<double>(i + 1)), loss = step(lr);
    if (!std::isfinite(loss)) break;
    average = options.smoothing * average + (1 - options.smoothing) * loss;
    const double smoothed = average / (1 - std::pow(options.smoothing, static_cast<double>(i + 1)));
    //~ const double smoothed = average;
    trials.push_back({lr, loss, smoothed});
    least = std::min(least, smoothed);
    if (smoothed > options.most_loss * least) break;
  }
  return trials;
}

std::vector<LrTrial> lr_range(Run& run, const LrRangeOptions& options) {
  const RestoreRun restored(run);
  Stepper step(run);
  return lr_range([&](double lr) { return step(lr); }, options);
}

const LrTrial& least_loss(const std::vector<LrTrial>& trials) {
  check<ValueError>(!trials.empty(), "--lr-find: the loss isn't finite before the first step; are the data?");
  const auto least = std::ranges::min_element(trials, {}, &LrTrial::smoothed);
  check<ValueError>(least != trials.begin(),
                    "--lr-find: no learning rate from {:.2g} to {:.2g} made the loss fall; are the data and "
                    "their labels what they should be?",
                    trials.front().lr, trials.back().lr);
  return *least;
}

double suggested_lr(const std::vector<LrTrial>& trials) {
  return std::strtod(fmt::format("{:.1e}", least_loss(trials).lr / 3).c_str(), nullptr);
}

std::string table_of(const std::vector<LrTrial>& trials) {
  const LrTrial& least = least_loss(trials);
  std::string text = fmt::format("{:>10}{:>12}{:>12}\n", "lr", "loss", "smoothed");
  for (size_t i = 0; i < trials.size(); ++i) {
    const LrTrial& trial = trials[i];
    if (i % 6 != 0 && &trial != &least) continue;
    text += fmt::format("{:>10.2g}{:>12.4f}{:>12.4f}{}\n", trial.lr, trial.loss, trial.smoothed,
                        &trial == &least ? "  least" : "");
  }
  return text;
}

Plot plot_of(const std::vector<LrTrial>& trials) {
  const double lr = suggested_lr(trials);
  Plot plot{.title = "", .x = {"learning rate", true}, .y = {"loss", true}};
  Series loss{.name = "loss of each step"}, smoothed{.name = "smoothed"};
  for (const LrTrial& trial : trials) {
    loss.x.push_back(trial.lr), loss.y.push_back(trial.loss);
    smoothed.x.push_back(trial.lr), smoothed.y.push_back(trial.smoothed);
  }
  const auto [low, high] = std::ranges::minmax(loss.y);
  plot.series = {
      loss, smoothed, {.name = fmt::format("suggestion: {:.2g}", lr), .x = {lr, lr}, .y = {low, high}}};
  return plot;
}

}  // namespace ballast::app
