#include <fmt/format.h>

#include <filesystem>

#include <ballast/data/atomic_file.h>

#include "commands/command.h"
#include "experiments/experiment.h"
#include "experiments/show.h"
#include "options/choice.h"
#include "options/options.h"
#include "output.h"

namespace ballast::app {
namespace {

using experiments::Experiment;

struct ExperimentOptions {
  std::string name, data = "digits", out = "runs/experiments", reference, markdown;
  int64_t seeds = 0, threads = 0;
  bool quick = false;
  Given given;
};

void print_list() {
  for (const Experiment* experiment : experiments::all_experiments())
    say("  {:<18}{}\n{:20}{}\n", experiment->name, experiment->claim, "", experiment->source);
}

std::vector<const Experiment*> chosen(const std::string& name) {
  const std::vector<const Experiment*>& all = experiments::all_experiments();
  if (name == "all") return all;
  std::vector<std::string> names = {"list", "all"};
  for (const Experiment* experiment : all) {
    if (experiment->name == name) return {experiment};
    names.push_back(experiment->name);
  }
  check_known("experiment", name, names);
  return {};
}

/// Runs one, prints what it shows and writes report.html. Its section of Markdown, if that is wanted.
std::string show(const Experiment& experiment, const experiments::Images& images,
                 const ExperimentOptions& options) {
  const int64_t seeds = options.seeds > 0 ? options.seeds : options.quick ? 1 : experiment.seeds;
  const std::string folder =
      fmt::format("{}/{}{}", options.out, experiment.name, options.quick ? "-quick" : "");
  const experiments::GridOptions grid{folder, seeds, options.quick};
  const experiments::Results results = run_grid(experiment, images, grid);
  const experiments::Shown shown{experiment, images, grid, results, experiment.judge(results)};
  write_report(folder + "/report.html", shown);
  say("{}\nwritten: {}/report.html\n\n", text_of(shown), folder);
  if (options.markdown.empty()) return "";
  const std::filesystem::path file(options.markdown);
  std::string picture;
  if (!shown.findings.plots.empty()) {
    picture = fmt::format("{}/{}.svg", file.stem().native(), experiment.name);
    std::filesystem::create_directories(file.parent_path() / file.stem());
    write_file_atomically((file.parent_path() / picture).native(),
                          experiments::svg_of(shown.findings.plots.front()));
  }
  return markdown_of(shown, picture);
}

int run(const ExperimentOptions& options) {
  if (options.name == "list") {
    print_list();
    return 0;
  }
  const std::vector<const Experiment*> list = chosen(options.name);
  use_threads(options.threads);
  experiments::Images images = experiments::load_images(options.data, options.quick);
  images.reference = options.reference;
  say("data: {}\n\n", images.name);
  std::string document =
      "# Experiments\n\n"
      "What normalization does, each claim tried by one command. This page was written by\n"
      "`ballast experiment all --markdown`, and every figure in it was measured by that run: means over "
      "seeds,\n"
      "with the standard deviation. Lines that were expected and didn't hold stand as such.\n\n";
  for (const Experiment* experiment : list) document += show(*experiment, images, options);
  if (!options.markdown.empty()) {
    while (document.ends_with("\n\n")) document.pop_back();
    write_file_atomically(options.markdown, document);
    say("written: {}\n", options.markdown);
  }
  return 0;
}

OptionList list(ExperimentOptions& o) {
  return {
      {.name = "NAME",
       .value = &o.name,
       .help = "list: what there is; all: one after the other; or an experiment's name",
       .positional = true,
       .required = true},
      {.name = "data",
       .value = &o.data,
       .help = "a folder with MNIST's four files, or digits: the built-in ones",
       .placeholder = "FOLDER"},
      {.name = "seeds",
       .value = &o.seeds,
       .help = "repetitions with other random numbers, 0 for the experiment's own number",
       .least = 0,
       .most = 1000},
      {.name = "threads",
       .value = &o.threads,
       .help = "runs side by side, one thread each, 0 for all processors; results don't depend on it",
       .least = 0,
       .most = 256},
      {.name = "quick", .value = &o.quick, .help = "a look in seconds: few steps, few images, no verdict"},
      {.name = "out",
       .value = &o.out,
       .help = "the folder in which each experiment has one: finished runs are kept there and not repeated",
       .placeholder = "FOLDER"},
      {.name = "reference",
       .value = &o.reference,
       .help = "a folder with the programs that apps/bench/reference/build.sh builds: time-to-accuracy runs "
               "the same "
               "program in PyTorch in turn",
       .placeholder = "FOLDER"},
      {.name = "markdown",
       .value = &o.markdown,
       .help = "write what was found into this file, pictures into a folder beside it",
       .placeholder = "FILE"}};
}

}  // namespace

extern const Command experiment;
const Command experiment{
    "experiment", "check what is claimed of normalization",
    "Each experiment tries a claim from the literature: it trains a grid of networks with several seeds,\n"
    "prints what it measured beside a reference, and says of each line that was expected whether it holds.\n"
    "Runs are kept: a stopped experiment goes on where it was, a finished one is only shown again.\n"
    "In its folder are config.json (what of), metrics.jsonl (a line for each run) and report.html.",
    "Examples:\n"
    "  ballast experiment list\n"
    "  ballast experiment landscape --data mnist/     of a folder with MNIST's four files\n"
    "  ballast experiment bn-mnist --quick            a look in seconds, on the built-in digits\n"
    "  ballast experiment all --data mnist/ --markdown docs/experiments.md",
    invocation(list, run)};

}  // namespace ballast::app
