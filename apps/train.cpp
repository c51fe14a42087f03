#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <utility>

#include <ballast/core/parallel.h>
#include <ballast/data/evaluate.h>

#include "commands.h"
#include "failure.h"
#include "progress.h"
#include "run_folder.h"
#include "stop_signal.h"

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
  std::fflush(stdout);
}

void print_result(const Run& run, const RunFolder& folder) {
  const EpochMetrics &last = run.at.history.back(), &best = *best_epoch(run.at.history);
  const auto correct = [&](const EpochMetrics& m) {
    return fmt::format("{:.2f} % ({} of {})", 100 * m.test_accuracy,
                       std::llround(m.test_accuracy * static_cast<double>(run.test.size)), run.test.size);
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
  const RunFolder folder = RunFolder::create(options.out, options.model.model + "-" + options.model.norm);
  folder.write_config(options);
  folder.save_state(run);
  announce(run);
  return train_and_report(run, folder);
}

}  // namespace ballast::inline BALLAST_PRECISION
