#include "trainer/hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/parallel.h>

#include "trainer/optimizers.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

constexpr int64_t few_steps_an_epoch = 5, small_batch = 16;
constexpr int64_t very_few_steps = 20, few_steps = 100, enough_steps = 300;

bool all_met(const TestReport& test) {
  return test.kind != TargetKind::values && test.total.correct == test.total.size;
}

/// The command that trains for so many epochs.
std::string longer(const Run& run, int64_t epochs, const std::string& folder) {
  // Only a constant rate doesn't depend on how many epochs there are: other runs begin anew.
  const char* way = run.options.training.schedule == "constant" ? "resume" : "config";
  return fmt::format("ballast train --{} {} --epochs {}", way, shell_word(folder), epochs);
}

}  // namespace

bool still_improving(const std::vector<EpochMetrics>& history) {
  if (history.size() < 2 || best_epoch(history) != &history.back()) return false;
  return std::all_of(history.begin(), history.end() - 1, [&](const EpochMetrics& before) {
    return history.back().val_loss < 0.98 * before.val_loss;  // false without a validation part, of NaN
    //~ return history.back().val_loss < before.val_loss;
  });
}

bool no_better_than_guessing(const TestReport& test) {
  if (test.kind == TargetKind::values) return test.total.r2 <= 0;
  if (test.classes.classes == 0 || all_met(test)) return false;
  int64_t most = 0;
  for (int64_t label = 0; label < test.classes.classes; ++label)
    most = std::max(most, test.classes.of(label).samples());
  return test.total.correct <= most;
  //~ return test.total.correct < most;
}

std::vector<std::string> hints(const Run& run, const TestReport& test, const std::string& folder) {
  const TrainingOptions& options = run.options.training;
  std::vector<std::string> lines;
  if (options.overfit_one_batch || all_met(test)) return lines;
  const bool last_is_best = best_epoch(run.at.history) == &run.at.history.back();
  const bool few = run.at.step < (last_is_best ? few_steps : very_few_steps) && !run.out_of_patience();
  //~ const bool few = run.at.step < few_steps && !run.out_of_patience();
  const bool guessing = no_better_than_guessing(test);
  const int64_t epochs = options.epochs;
  if (few)
    lines.push_back(fmt::format(
        "only {} step{} {} taken; more epochs will most likely do better: {}", run.at.step,
        run.at.step == 1 ? "" : "s", run.at.step == 1 ? "was" : "were",
        longer(run, std::max(3 * epochs, divide_up(enough_steps, run.steps_per_epoch())), folder)));
  else if (!guessing && still_improving(run.at.history))
    lines.push_back(
        fmt::format("the last epoch was the best, and the loss still fell; more epochs may do better: {}",
                    longer(run, 2 * epochs, folder)));
  if (!few && !guessing && run.at.step < enough_steps && run.steps_per_epoch() < few_steps_an_epoch &&
      options.batch_size > small_batch)
    lines.push_back(fmt::format(
        "an epoch has only {} step{}; smaller batches take more and may do better: ballast train --config {} "
        "--batch-size {}",
        run.steps_per_epoch(), run.steps_per_epoch() == 1 ? "" : "s", shell_word(folder), small_batch));
  // After few steps that is no wonder, unless the rate was high.
  const double usual = find("optimizer", optimizers(), options.optimizer).make.defaults.lr;
  if (guessing && (!few || *options.lr > usual))
    lines.push_back(
        fmt::format("this is no better than always guessing {}; look for another learning rate than {}: "
                    "ballast train --config {} --lr-find",
                    test.kind == TargetKind::values ? "the mean" : "the most frequent class", *options.lr,
                    shell_word(folder)));
  return lines;
}

}  // namespace ballast::app
