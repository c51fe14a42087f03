#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

#include <ballast/core/parallel.h>
#include <ballast/data/checkpoint.h>
#include <ballast/layers/analysis/advice.h>

#include "commands/command.h"
#include "options/config.h"
#include "output.h"
#include "trainer/failure.h"
#include "trainer/figure.h"
#include "trainer/hints.h"
#include "trainer/layer_record.h"
#include "trainer/lr_range.h"
#include "trainer/models.h"
#include "trainer/progress.h"
#include "trainer/run_folder.h"
#include "trainer/run_page.h"
#include "trainer/stop_signal.h"
#include "trainer/tensorboard.h"
#include "trainer/test_report.h"
#include "trainer/text.h"
#include "trainer/trained.h"
#include "trainer/training.h"

namespace ballast::app {
namespace {

/// What --freeze, --freeze-stats and --freeze-mode have come to.
void print_frozen(Module& model) {
  int64_t frozen = 0;
  for_each_parameter(model,
                     [&](const std::string&, Parameter& p) { frozen += p.trainable() ? 0 : p.count(); });
  std::vector<std::string> stats, mode;
  for_each_module(model, [&](const std::string& path, Module& part) {
    if (part.frozen.statistics && keeps_statistics(part)) stats.push_back(path);
    if (part.frozen.mode && !path.empty()) mode.push_back(path);
  });
  if (frozen > 0) say("frozen: {} of {} parameters\n", frozen, parameter_count(model));
  if (!stats.empty()) say("frozen: the running statistics of {}\n", fmt::join(stats, ", "));
  if (!mode.empty()) say("evaluating while the rest trains: {}\n", fmt::join(mode, ", "));
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
    complain("warning: {}: {}{} [{}]\n", advice.rule, advice.text,
             others > 0 ? fmt::format(" (and {} more like it)", others) : "", advice.source);
  }
}

void announce(Run& run) {
  say("{}: {} parameters; {} training, {} validation and {} test {}s; {} x {} steps of {}; {}\n",
      description(run.options.model), parameter_count(run.model), run.loader.dataset().size,
      run.validation.size, run.test.size, unit_of(run.test), run.options.training.epochs,
      run.steps_per_epoch(), run.options.training.batch_size * run.options.training.accumulate,
      num_threads() == 1 ? "1 thread" : fmt::format("{} threads", num_threads()));
  if (run.loader.dropped() > 0)
    say("note: the last {} of each epoch is left out, since batch normalization can't train on a single one; "
        "another --batch-size than {} avoids that\n",
        unit_of(run.test), run.options.training.batch_size);
  if (!run.schema.empty())
    say("{} of {} from {} column{}\n", run.classifies() ? "classification" : "regression",
        targets_text(run.schema, run.options.data.label), run.schema.inputs.size(),
        run.schema.inputs.size() == 1 ? "" : "s");
  print_frozen(run.model);
  flush_output();
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
  say("initialized from {}\n  {}\n", path, fmt::join(lines, "\n  "));
}

/// Measures the network of the best epoch on the test part, which nothing else has seen.
void test_best(Run& run, const RunFolder& folder, std::optional<TensorBoard>& board) {
  const EpochMetrics& best = *best_epoch(run.at.history);
  if (run.out_of_patience())
    say("stopped early: no better validation {} since epoch {} (--patience {})\n",
        run.classifies() ? "accuracy" : "loss", best.epoch, run.options.training.patience);
  Sequential model = run.model;
  load(folder.file("best.safetensors"), model);
  const TestReport test = test_report(model, run.test);
  folder.write_summary(run, test.total);
  folder.write_test(to_json(test, run.info(), run.test));
  if (board) board->mistakes(run, test, run.test);
  write_run_page({read_run(folder.path())}, folder.file("report.html"));
  say("{} after epoch {}, the best{}\n", test_text(test.total, run.test.kind, run.target_standardization),
      best.epoch, run.validation.size > 0 ? " on the validation part" : "");
  say("run folder: {}\n", folder.path());
  for (const std::string& hint : hints(run, test, folder.path())) say("note: {}\n", hint);
}

/// The weights of a diverged run are worthless: those saved before stay.
[[noreturn]] void fail_diverged(const Run& run, const RunFolder& folder, const TrainingResult& result) {
  std::vector<EpochMetrics> history = run.at.history;
  history.push_back(result.diverged);
  folder.write_metrics(history);
  write_run_page({read_run(folder.path())}, folder.file("report.html"));
  throw TrainingFailed(fmt::format(
      "training diverged in epoch {}, step {}: {}; where it is the learning that diverges and "
      "not the data, try a lower --lr than {} (--lr-find suggests one), a --warmup, --clip or a --norm (what "
      "was saved "
      "before is in {})",
      result.diverged.epoch, result.diverged.step, result.why, *run.options.training.lr, folder.path()));
}

/// With --tensorboard.
std::optional<TensorBoard> tensorboard_in(const RunFolder& folder, const Run& run) {
  if (!run.options.training.tensorboard) return {};
  return TensorBoard(run, folder.file("events.out.tfevents.ballast"));
}

int train_in(const RunFolder& folder, Run& run) {
  const StopSignal stop;
  Progress progress;
  std::optional<TensorBoard> board = tensorboard_in(folder, run);
  std::optional<LayerRecord> layers;
  if (const int64_t every = run.options.training.probe; every > 0)
    layers.emplace(run, folder.file("layers.jsonl"), every, [&](int64_t step, const Probe& probe) {
      if (board) board->layers(step, probe);
    });
  const TrainingEvents events{.step =
                                  [&](const Trainer&) {
                                    progress.step(run);
                                    if (board) board->step(run);
                                    if (layers) layers->step(run);
                                  },
                              .epoch =
                                  [&](Trainer&, const EpochMetrics& line) {
                                    folder.write_weights(run);
                                    folder.write_metrics(run.at.history);
                                    folder.write_summary(run);
                                    if (board) board->epoch(run, line);
                                    progress.epoch(run, line);
                                  },
                              .save =
                                  [&](Trainer&) {
                                    if (layers) layers->save();
                                    folder.save_state(run);
                                  },
                              .stop = [] { return StopSignal::received() != 0; }};
  const TrainingResult result = run_training(run, events);
  progress.clear();
  if (result.end == TrainingResult::End::diverged) fail_diverged(run, folder, result);
  if (result.end == TrainingResult::End::finished) {
    test_best(run, folder, board);
    return 0;
  }
  say("stopped after step {} and saved; go on with: ballast train --resume {}\n", run.at.step,
      shell_word(folder.path()));
  return 128 + StopSignal::received();
}

int train_and_report(const RunFolder& folder, Run& run) {
  try {
    return train_in(folder, run);
  } catch (const FileError& error) {
    throw TrainingFailed(
        fmt::format("{} (what was saved before is unharmed; go on with: ballast train --resume {})",
                    error.message, shell_word(folder.path())));
  }
}

int resume(const TrainOptions& given) {
  const RunFolder folder = RunFolder::open(given.resume);
  const std::unique_ptr<Run> resumed = folder.resume(given);
  Run& run = *resumed;
  if (run.done()) {
    say("{} is finished after {} epochs\n", folder.path(), run.at.epoch);
    std::optional<TensorBoard> board = tensorboard_in(folder, run);
    test_best(run, folder, board);  // it may have been stopped before
    return 0;
  }
  folder.write_config(run.options);
  folder.write_metrics(run.at.history);
  announce(run);
  say("going on after step {} of {}, in epoch {}\n", run.at.step, run.steps(), run.at.epoch + 1);
  flush_output();
  return train_and_report(folder, run);
}

/// The folder of a new run, in which it can be resumed from now on.
RunFolder begin_in_folder(Run& run) {
  const TrainOptions& options = run.options;
  RunFolder folder = RunFolder::create(options.out, short_name(options.model) + "-" + options.model.norm);
  try {
    folder.save_state(run);
    folder.write_config(options);
  } catch (...) {
    folder.discard();
    throw;
  }
  return folder;
}

int find_lr(Run& run) {
  const std::string& figure = run.options.lr_plot;
  const std::vector<LrTrial> trials = lr_range(run);
  say("{}suggestion: --lr {}, a third of the rate at which the smoothed loss is least\n", table_of(trials),
      suggested_lr(trials));
  if (!figure.empty()) {
    draw(plot_of(trials), figure);
    say("written: {}\n", figure);
  }
  return 0;
}

int run(const TrainOptions& given) {
  if (!given.resume.empty()) return resume(given);
  TrainOptions options = given;
  if (!given.config.empty()) read_config(given.config, options);
  validate(options);
  if (options.print_config) {
    say("{}", to_toml(options_of(options)));
    return 0;
  }
  if (!options.lr_plot.empty()) check_figure_path("lr-plot", options.lr_plot);
  if (!options.lr_find) RunFolder::check_free(options.out);
  Run run(options);
  if (!options.training.init_from.empty()) init_from(options.training.init_from, run.model);
  if (options.lr_find) return find_lr(run);
  const RunFolder folder = begin_in_folder(run);
  announce(run);
  return train_and_report(folder, run);
}

OptionList list(TrainOptions& o) {
  return arranged(
      joined(
          options_of(o),
          {{.name = "out",
            .value = &o.out,
            .help = "folder for the run, new or empty [runs/MODEL-NORM-NUMBER]",
            .placeholder = "DIR"},
           {.name = "resume",
            .value = &o.resume,
            .help = "go on with the run in this folder from its last saved state; besides only --threads, "
                    "--workers, "
                    "--save-every, --probe, --tensorboard, --anomaly, --data (if it has moved) and, with "
                    "--schedule "
                    "constant, --epochs",
            .placeholder = "DIR"},
           {.name = "anomaly",
            .value = &o.anomaly,
            .help = "check each operation and gradient, and name the first that makes NaN or infinity; "
                    "slower; with "
                    "--resume too"},
           {.name = "lr-find",
            .value = &o.lr_find,
            .help =
                "suggest a learning rate instead of training: up to 100 steps while it grows from 1e-7 to 10 "
                "(the range test, Smith 2015); leaves no files"},
           {.name = "lr-plot",
            .value = &o.lr_plot,
            .help = "draw the losses by learning rate into this file, .svg or .png",
            .placeholder = "FILE",
            .needs = "lr-find"},
           {.name = "print-config",
            .value = &o.print_config,
            .help = "print all options as --config reads them, and do nothing else"},
           {.name = "config",
            .value = &o.config,
            .help = "read options from a run's config.toml, or from the one in a run's folder; those given "
                    "here win",
            .placeholder = "FILE"}}),
      training_groups());
}

}  // namespace

extern const Command train;
const Command train{
    "train", "train a network",
    "Trains a network, measures it on the test part, and keeps everything about the run in a folder: "
    "options\n"
    "(config.toml), figures of each epoch (metrics.csv, metrics.jsonl), weights under PyTorch's names\n"
    "(best.safetensors, last.safetensors), and a page that shows all of it (report.html). Ctrl-C saves and\n"
    "stops, and --resume goes on; a second Ctrl-C stops at once.",
    "Examples:\n"
    "  ballast train --norm group --epochs 5 --out runs/group   another norm, in a folder of that name\n"
    "  ballast train --resume runs/group                        resume, bit-identical to a run that wasn't "
    "stopped\n"
    "  ballast train --config runs/group --seed 1               the same once more, from another seed\n"
    "  ballast train --model mlp --lr-find --lr-plot lr.svg     a learning rate for a network, and a look at "
    "it\n"
    "  ballast train --init-from runs/group --freeze '[0-7]' --data mnist/   only the layers after these "
    "learn",
    invocation(list, run)};

}  // namespace ballast::app
