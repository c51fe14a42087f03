#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include <ballast/core/parallel.h>

#include "commands/command.h"
#include "options/config.h"
#include "options/options.h"
#include "output.h"
#include "trainer/failure.h"
#include "trainer/progress.h"
#include "trainer/run_page.h"
#include "trainer/side_by_side.h"
#include "trainer/stop_signal.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

struct CompareOptions {
  TrainOptions flags;                         // of which those that take no value are used
  std::map<std::string, std::string> values;  // what was given to each other option of training
  std::string out = "runs/compare", config;
  int64_t seeds = 1, jobs = 0;
  Given given;
};

/// Options whose own values have commas: several of these are separated by semicolons.
bool takes_commas(const Option& option) {
  return option.name == "model" || option.name == "augment" || option.name == "class-weights" ||
         std::holds_alternative<std::vector<int64_t>*>(option.value) ||
         std::holds_alternative<std::vector<double>*>(option.value) ||
         std::holds_alternative<std::vector<std::string>*>(option.value);
}

std::vector<std::string> split(const std::string& text, char separator, const std::string& name) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    const size_t first = std::min(text.find_first_not_of(' ', begin), end);
    check<ValueError>(first < end, "--{} \"{}\": a value is missing between the separators", name, text);
    parts.push_back(text.substr(first, end - first));
    begin = end + 1;
  }
  return parts;
}

/// A run to be trained: the options that set it apart from the others, and all.
struct Planned {
  std::vector<std::pair<std::string, std::string>> own;
  std::vector<std::string> arguments;  // --name=value
  TrainOptions options;
  std::string folder = {}, name = {};
};

/// Every combination of the values.
std::vector<Planned> combinations(const CompareOptions& given) {
  std::vector<Planned> all(1);
  TrainOptions model;  // of the list of options
  for (const Option& option : options_of(model)) {
    std::vector<std::string> values;
    if (option.name == "seed" && given.seeds > 1) {
      const int64_t first = given.given.contains("seed") ? std::stoll(given.values.at("seed")) : 0;
      for (int64_t seed = first; seed < first + given.seeds; ++seed) values.push_back(std::to_string(seed));
    } else if (given.given.contains(option.name) && given.values.contains(option.name)) {
      values = split(given.values.at(option.name), takes_commas(option) ? ';' : ',', option.name);
    } else {
      continue;
    }
    std::vector<Planned> next;
    for (const Planned& planned : all)
      for (const std::string& value : values) {
        Planned& added = next.emplace_back(planned);
        added.arguments.push_back(fmt::format("--{}={}", option.name, value));
        if (values.size() > 1) added.own.emplace_back(option.name, value);
        for (const Option& own : options_of(added.options))
          if (own.name == option.name) read_words(own, {value});
        added.options.given.insert(option.name);
      }
    all = std::move(next);
  }
  return all;
}

/// As part of a path.
std::string file_name(const Planned& planned, size_t number) {
  std::string text;
  for (const auto& [name, value] : planned.own) text += (text.empty() ? "" : "_") + name + "-" + value;
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  if (text.empty()) return "run";
  // A line of a model may be longer than a name may.
  return text.size() > 80 ? fmt::format("{}-{}", number + 1, text.substr(0, 60)) : text;
}

/// The runs to be trained, whose options have been checked.
std::vector<Planned> plan(const CompareOptions& given) {
  check<ValueError>(given.seeds == 1 || !given.given.contains("seed") ||
                        given.values.at("seed").find(',') == std::string::npos,
                    "--seeds counts from the one --seed; give a list of seeds or their number, not both");
  std::vector<Planned> all = combinations(given);
  for (size_t i = 0; i < all.size(); ++i) {
    Planned& planned = all[i];
    TrainOptions& o = planned.options;
    for (const char* flag : {"skip-damaged", "overfit-one-batch"})
      if (given.given.contains(flag)) {
        planned.arguments.push_back(fmt::format("--{}", flag));
        o.given.insert(flag);
      }
    o = merged(o, given.flags, o.given.contains("skip-damaged") ? Given{"skip-damaged"} : Given{});
    o = merged(o, given.flags, o.given.contains("overfit-one-batch") ? Given{"overfit-one-batch"} : Given{});
    if (!given.config.empty()) {
      planned.arguments.push_back("--config=" + given.config);
      read_config(given.config, o);
    }
    validate(o);
    planned.folder = given.out + "/" + file_name(planned, i);
    for (const auto& [name, value] : planned.own)
      planned.name += fmt::format("{}{} {}", planned.name.empty() ? "" : ", ", name, value);
  }
  return all;
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Throws ValueError if the folder has a run with other options than the planned one.
void check_same_run(const Planned& planned) {
  TrainOptions there, wanted = planned.options;
  read_config(planned.folder, there);
  const OptionList a = options_of(there), b = options_of(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    const bool matters = a[i].name != "threads" && a[i].name != "workers" && a[i].name != "save-every" &&
                         (a[i].name != "model" || wanted.given.contains("model")) &&
                         (a[i].name != "batch-size" || wanted.training.batch_size > 0) &&
                         (a[i].name != "epochs" || wanted.training.epochs > 0);
    check<ValueError>(!matters || value_text(a[i]) == value_text(b[i]),
                      "{} holds a run with --{} {} instead of {}; choose another folder with --out",
                      planned.folder, a[i].name, value_text(a[i]), value_text(b[i]));
  }
}

bool finished(const Planned& planned) { return exists(planned.folder + "/test.json"); }

/// The last line of a log, which is an error's if there was one.
std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) last = line;
  return last;
}

/// "epoch 2/3", or "epoch 2" of a number that depends on the data, of a run that goes on: it writes a line
/// into metrics.jsonl after each.
std::string epoch_text(const Planned& planned) {
  std::ifstream file(planned.folder + "/metrics.jsonl");
  int64_t finished = 0;
  for (std::string line; std::getline(file, line);) ++finished;
  const int64_t epochs = planned.options.training.epochs;
  if (epochs == 0) return fmt::format("epoch {}", finished + 1);
  return fmt::format("epoch {}/{}", std::min(finished + 1, epochs), epochs);
}

/// Trains those that aren't finished. Returns how many failed.
int64_t train(const std::vector<Planned>& all, int64_t at_a_time, int64_t threads) {
  std::vector<Job> jobs;
  std::vector<const Planned*> planned;
  for (const Planned& each : all) {
    if (finished(each)) continue;
    std::vector<std::string> arguments = {"train"};
    if (exists(each.folder + "/state.safetensors"))
      arguments.push_back("--resume=" + each.folder);
    else
      arguments.insert(arguments.end(), each.arguments.begin(), each.arguments.end()),
          arguments.push_back("--out=" + each.folder);
    if (threads > 0) arguments.push_back(fmt::format("--threads={}", threads));
    jobs.push_back({arguments, each.folder + ".log"});
    planned.push_back(&each);
  }
  if (planned.size() < all.size())
    say("{} of {} runs are finished already\n", all.size() - planned.size(), all.size());
  int64_t failed = 0;
  size_t done = all.size() - jobs.size();
  StatusLine status;
  const auto name_of = [&](size_t job) {
    const Planned& run = *planned[job];
    return run.name.empty() ? run.folder : run.name;
  };
  const auto waiting = [&](const std::vector<size_t>& running) {
    if (!status.due()) return;
    const std::string total = fmt::format("{} of {} runs done", done, all.size());
    std::string named = total, unnamed = total;
    for (const size_t job : running) {
      const std::string epoch = epoch_text(*planned[job]);
      named += fmt::format("; {}: {}", name_of(job), epoch);
      unnamed += "; " + epoch;
    }
    status.show(fitting({named, unnamed, total}, status.width()));
  };
  const auto ended = [&](size_t job, int code) {
    status.clear();
    ++done;
    const std::string name = name_of(job);
    if (code == 0)
      say("{}: trained\n", name);
    else if (StopSignal::received() == 0)
      complain("{}: {} (exit code {}; {})\n", name, last_line(jobs[job].log), code, jobs[job].log), ++failed;
    flush_output();
  };
  run_side_by_side(jobs, at_a_time, ended, waiting);
  status.clear();
  return failed;
}

void print_table(const std::vector<SavedRun>& runs) {
  const bool classifies = !runs[0].info || runs[0].info->kind != TargetKind::values;
  struct Row {
    double score;
    std::vector<std::string> cells;
  };
  std::vector<Row> rows;
  for (const RunGroup& group : groups_of(runs)) {
    const auto mean = [&](auto value) {
      std::vector<double> values;
      for (const SavedRun* run : group.runs) values.push_back(value(*run));
      return mean_of(values);
    };
    const Mean score =
        mean([&](const SavedRun& run) { return (classifies ? 100 : 1) * run.test_score.value_or(NAN); });
    rows.push_back(
        {score.mean,
         {group.name, text_of(score, classifies ? 2 : 4),
          text_of(mean([](const SavedRun& run) { return run.best().val_loss; }), 4),
          text_of(mean([](const SavedRun& run) { return static_cast<double>(run.best().epoch); }), 1),
          text_of(mean([](const SavedRun& run) { return run.history.back().seconds; }), 1)}});
  }
  std::ranges::stable_sort(rows, std::ranges::greater(), &Row::score);
  rows.insert(
      rows.begin(),
      {0, {"", classifies ? "test accuracy, %" : "test R2", "validation loss", "best epoch", "time, s"}});
  std::vector<size_t> widths(5);
  for (const Row& row : rows)
    for (size_t i = 0; i < 5; ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  for (const Row& row : rows) {
    std::string line = fmt::format("{:<{}}", row.cells[0], widths[0]);
    for (size_t i = 1; i < 5; ++i) line += fmt::format("  {:>{}}", row.cells[i], widths[i]);
    say("{}\n", line);
  }
}

int run(const CompareOptions& given) {
  const std::vector<Planned> all = plan(given);
  std::error_code error;
  fs::create_directories(given.out, error);
  check<ValueError>(!error, "--out {}: can't make the folder: {}", given.out, error.message());
  for (const Planned& planned : all)
    if (exists(planned.folder + "/config.toml")) check_same_run(planned);
  const int64_t processors = num_threads(), runs = std::ssize(all);
  const int64_t at_a_time = given.jobs > 0 ? given.jobs : std::min(runs, processors);
  const int64_t threads = given.given.contains("threads") ? 0 : std::max<int64_t>(1, processors / at_a_time);
  say("{} run{}, {} at a time\n", runs, runs == 1 ? "" : "s", std::min(at_a_time, runs));
  flush_output();
  const StopSignal stop;
  const int64_t failed = train(all, at_a_time, threads);
  if (StopSignal::received() != 0) {
    say("stopped and saved; the same command goes on\n");
    return 128 + StopSignal::received();
  }
  std::vector<std::string> folders;
  for (const Planned& planned : all)
    if (finished(planned)) folders.push_back(planned.folder);
  if (folders.empty()) throw TrainingFailed("no run was finished; each has said why");
  const std::vector<SavedRun> found = read_runs(folders);
  say("\n");
  print_table(found);
  const std::string page = given.out + "/report.html";
  write_run_page(found, page);
  say("\nwritten: {}\n", page);
  return failed > 0 ? 1 : 0;
}

OptionList list(CompareOptions& o) {
  OptionList all;
  for (Option option : options_of(o.flags)) {
    if (!std::holds_alternative<bool*>(option.value)) {
      std::string& value = o.values[option.name] = value_text(option);
      option = {.name = option.name,
                .value = &value,
                .help = option.help,
                .placeholder = takes_commas(option) ? "VALUE[;VALUE]" : "VALUE[,VALUE]",
                .group = option.group};
    }
    all.push_back(std::move(option));
  }
  return joined(
      arranged(all, training_groups()),
      grouped("Comparison",
              {{.name = "seeds",
                .value = &o.seeds,
                .help = "runs of each combination, from so many seeds",
                .least = 1,
                .most = 1000},
               {.name = "jobs",
                .value = &o.jobs,
                .help = "runs at a time, which share the processors; 0 for one per processor",
                .least = 0,
                .most = 256},
               {.name = "config",
                .value = &o.config,
                .help = "read options that all runs share from a config.toml or a run's folder",
                .placeholder = "FILE"},
               {.name = "out", .value = &o.out, .help = "folder of the runs", .placeholder = "DIR"}}));
}

}  // namespace

extern const Command compare;
const Command compare{
    "compare", "train with each of several values of options, and compare",
    "Trains a run for each combination of values: any option of `ballast train` can be a list, separated by\n"
    "commas, or by semicolons where the values have commas themselves (--model, --hidden, --augment). Runs "
    "go\n"
    "side by side, one per processor, with the same bits as by themselves. Prints a table, the best first, "
    "with\n"
    "mean and standard deviation over seeds, and writes a page in which the runs lie over one another. The "
    "same\n"
    "command goes on where it was stopped, and trains nothing twice. A run that fails is named, the others "
    "go\n"
    "on, and the exit code is 1.",
    "Examples:\n"
    "  ballast compare --norm none,batch,layer --seeds 3\n"
    "  ballast compare --data mnist/ --lr 0.001,0.01 --optimizer sgd,adamw --out runs/rates\n"
    "  ballast compare --model \"mlp; cnn\" --probe 50",
    invocation(list, run)};

}  // namespace ballast::app
