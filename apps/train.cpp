#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <utility>

#include <ballast/core/parallel.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/evaluate.h>
#include <ballast/layers/analysis/advice.h>
#include <ballast/layers/batch_norm.h>

#include "commands.h"
#include "failure.h"
#include "progress.h"
#include "run_folder.h"
#include "stop_signal.h"
#include "text.h"
#include "trained.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

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

/// Takes a run from where it is to its end, saving on the way.
class Training {
 public:
  Training(Run& run, const RunFolder& folder)
      : run_(run), folder_(folder), interval_(parse_save_interval(run.options.training.save_every)) {}

  /// 0, or 128 + the signal that stopped it. Throws TrainingFailed if it diverges.
  int operator()() {
    while (!run_.done()) {
      if (const int stopped = train_epoch()) return stopped;
      finish_epoch();
    }
    return 0;
  }

 private:
  int train_epoch() {
    run_.loader.epoch = run_.at.epoch;
    for (const Batch& batch : run_.loader.from_batch(run_.at.batch)) {
      const double loss = run_.step(batch);
      const double seconds = watch_.lap();
      run_.at.epoch_seconds += seconds;
      run_.at.seconds += seconds;
      if (!std::isfinite(loss)) fail(metrics(loss, {.loss = loss}));
      progress_.step(run_);
      const int stopped = StopSignal::received();
      if (stopped || save_due(seconds)) save();
      if (stopped) {
        progress_.clear();
        return 128 + stopped;
      }
    }
    return 0;
  }

  bool save_due(double step_seconds) {
    since_save_ += step_seconds;
    return interval_.steps > 0 ? run_.at.step % interval_.steps == 0 : since_save_ >= interval_.seconds;
  }

  void save() {
    folder_.save_state(run_);
    since_save_ = 0;
    run_.at.seconds += watch_.lap();
  }

  void finish_epoch() {
    const Position& at = run_.at;
    const Evaluation test = evaluate(run_.model, run_.test);
    run_.at.seconds += watch_.lap();
    const EpochMetrics line = metrics(at.loss_sum / static_cast<double>(at.samples), test);
    if (!std::isfinite(test.loss)) fail(line);
    next_epoch(line);
    folder_.write_weights(run_);
    folder_.write_metrics(at.history);
    folder_.write_summary(run_);
    progress_.epoch(line, run_.options.training.epochs);
    save();  // last: if we are stopped before, this epoch's files are written again, with the same content
  }

  EpochMetrics metrics(double train_loss, const Evaluation& test) const {
    const Position& at = run_.at;
    const double samples = static_cast<double>(at.samples);
    return {.epoch = at.epoch + 1,
            .step = at.step,
            .train_loss = train_loss,
            .train_accuracy = static_cast<double>(at.correct) / samples,
            .test_loss = test.loss,
            .test_accuracy = test.accuracy(),
            .lr = run_.optimizer->lr(),
            .images_per_s = samples / at.epoch_seconds,
            .seconds = at.seconds};
  }

  void next_epoch(const EpochMetrics& line) {
    Position& at = run_.at;
    at.history.push_back(line);
    ++at.epoch;
    at.batch = at.correct = at.samples = 0;
    at.loss_sum = at.epoch_seconds = 0;
  }

  /// The weights of a diverged run are worthless: those saved before stay.
  [[noreturn]] void fail(const EpochMetrics& line) {
    progress_.clear();
    std::vector<EpochMetrics> history = run_.at.history;
    history.push_back(line);
    folder_.write_metrics(history);
    throw TrainingFailed(
        fmt::format("training diverged in epoch {}, step {}: the loss is {}; try a lower --lr than {}, a "
                    "--warmup or a --norm "
                    "(what was saved before is in {})",
                    line.epoch, line.step, std::isfinite(line.train_loss) ? line.test_loss : line.train_loss,
                    *run_.options.training.lr, folder_.path()));
  }

  Run& run_;
  const RunFolder& folder_;
  SaveInterval interval_;
  Progress progress_;
  Stopwatch watch_;
  double since_save_ = 0;
};

/// What --freeze, --freeze-stats and --freeze-mode have come to.
void print_frozen(Module& model) {
  int64_t frozen = 0;
  for_each_parameter(model,
                     [&](const std::string&, Parameter& p) { frozen += p.trainable() ? 0 : p.count(); });
  std::vector<std::string> stats, mode;
  for_each_module(model, [&](const std::string& path, Module& part) {
    const auto norm = dynamic_cast<const TrackingNorm*>(&part);
    if (part.frozen.statistics && norm && norm->options.track_running_stats) stats.push_back(path);
    if (part.frozen.mode && !path.empty()) mode.push_back(path);
  });
  if (frozen > 0) fmt::print("frozen: {} of {} parameters\n", frozen, parameter_count(model));
  if (!stats.empty()) fmt::print("frozen: the running statistics of {}\n", fmt::join(stats, ", "));
  if (!mode.empty()) fmt::print("evaluating while the rest trains: {}\n", fmt::join(mode, ", "));
}

/// Every rule of advice that applies, once.
void warn(Run& run) {
  const TrainingOptions& training = run.options.training;
  const int64_t batch_size = std::min(training.batch_size, run.loader.dataset().size);
  const std::vector<Advice> found =
      advise(run.model, {.batch_size = batch_size, .weight_decay = *training.weight_decay});
  std::set<std::string> said;
  for (const Advice& advice : found) {
    if (!said.insert(advice.rule).second) continue;
    const auto others =
        std::ranges::count_if(found, [&](const Advice& other) { return other.rule == advice.rule; }) - 1;
    fmt::print(stderr, "warning: {}: {}{} [{}]\n", advice.rule, advice.text,
               others > 0 ? fmt::format(" (and {} more like it)", others) : "", advice.source);
  }
}

void announce(Run& run) {
  const ModelOptions& model = run.options.model;
  fmt::print("{}, {}: {} parameters; {} training and {} test images; {} x {} steps; {}\n", model.model,
             model.norm == "none" ? "no normalization" : model.norm + " normalization",
             parameter_count(run.model), run.loader.dataset().size, run.test.size,
             run.options.training.epochs, run.loader.batches(),
             num_threads() == 1 ? "1 thread" : fmt::format("{} threads", num_threads()));
  if (run.loader.dropped() > 0)
    fmt::print(
        "note: the last image of each epoch is left out, since batch normalization can't train on a single "
        "one; "
        "another --batch-size than {} avoids that\n",
        run.options.training.batch_size);
  print_frozen(run.model);
  std::fflush(stdout);
  warn(run);
}

/// Begins with the weights of --init-from, as far as they fit, and says how far that is.
void init_from(const std::string& given, Module& model) {
  const std::string path = checkpoint_of(given);
  check_not_state(path);
  const LoadReport report = load(path, model, {.strict = false});
  std::vector<std::string> lines;
  const auto list = [&](const char* title, const std::vector<std::string>& names) {
    if (!names.empty())
      lines.push_back(fmt::format("{} ({}): {}", title, names.size(), fmt::join(names, ", ")));
  };
  list("loaded", report.matched);
  list("new, not in the file", report.missing);
  list("new, of another shape", report.mismatched);
  list("left out, not in the model", report.unexpected);
  check<ValueError>(!report.matched.empty(), "--init-from {}: nothing in it fits the model; {}", path,
                    fmt::join(lines, "; "));
  fmt::print("initialized from {}\n  {}\n", path, fmt::join(lines, "\n  "));
}

void print_result(const Run& run, const RunFolder& folder) {
  const EpochMetrics &last = run.at.history.back(), &best = *best_epoch(run.at.history);
  const auto correct = [&](const EpochMetrics& m) {
    return accuracy_text(std::llround(m.test_accuracy * static_cast<double>(run.test.size)), run.test.size);
  };
  fmt::print("test accuracy {}; the best was {} after epoch {}\n", correct(last), correct(best), best.epoch);
  fmt::print("run folder: {}\n", folder.path());
}

int train_and_report(Run& run, const RunFolder& folder) {
  const StopSignal stop;
  int code = 0;
  try {
    code = Training(run, folder)();
  } catch (const FileError& error) {
    throw TrainingFailed(
        fmt::format("{} (what was saved before is unharmed; go on with: ballast train --resume {})",
                    error.message, folder.path()));
  }
  if (code == 0) {
    print_result(run, folder);
  } else {
    fmt::print("stopped after step {} and saved; go on with: ballast train --resume {}\n", run.at.step,
               folder.path());
  }
  return code;
}

int resume(const TrainOptions& given) {
  const RunFolder folder(given.resume);
  Run run = folder.resume(given);
  if (run.done()) {
    fmt::print("{} is finished: all of its {} epochs are done\n", folder.path(), run.at.epoch);
    return 0;
  }
  folder.write_config(run.options);
  folder.write_metrics(run.at.history);
  announce(run);
  fmt::print("going on after step {} of {}, in epoch {}\n", run.at.step, run.steps(), run.at.epoch + 1);
  std::fflush(stdout);
  return train_and_report(run, folder);
}

}  // namespace

int train(const TrainOptions& given) {
  if (!given.resume.empty()) return resume(given);
  TrainOptions options = given;
  if (!given.config.empty()) read_config(given.config, options);
  validate(options);
  RunFolder::check_free(options.out);
  Run run(options);
  if (!options.training.init_from.empty()) init_from(options.training.init_from, run.model);
  const RunFolder folder = RunFolder::create(options.out, options.model.model + "-" + options.model.norm);
  folder.write_config(options);
  folder.save_state(run);
  announce(run);
  return train_and_report(run, folder);
}

}  // namespace ballast::inline BALLAST_PRECISION
