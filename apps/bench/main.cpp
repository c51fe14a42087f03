// ballast-bench: times the workloads, one JSON line or row of a table each. The only file here that includes
// CLI11.
#include <ballast/ballast.h>
#include <cblas.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "peaks.h"
#include "report.h"
#include "workloads.h"

namespace bench {
namespace {

struct Options {
  std::vector<std::string> names;
  int threads = 2;
  Timing timing;
  bool json = false, list = false, peaks = false, compare = false;
};

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const Workload& workload : workloads()) names.push_back(workload.name);
  return names;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--workload", options.names, "which to run [all]; --list says what they are")
      ->check(CLI::IsMember(all_names()))
      ->type_name("NAME...");
  app.add_option("--threads", options.threads, "threads to compute with")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--repetitions", options.timing.repetitions, "windows of time to measure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", options.timing.seconds, "length of a window")->capture_default_str();
  app.add_option("--warm-up", options.timing.warm_up, "seconds to run before the first")
      ->capture_default_str();
  app.add_option("--patience", options.timing.patience,
                 "seconds to go on measuring windows again that other processes disturbed")
      ->capture_default_str();
  app.add_flag("--json", options.json, "print JSON lines");
  app.add_flag("--list", options.list, "list the workloads");
  app.add_flag("--peaks", options.peaks, "measure the machine's limits instead");
  app.add_flag("--compare", options.compare, "read JSON lines and print a table of them; see compare.sh");
}

void announce() {
  fmt::print(stderr, "OpenBLAS kernels: {}\n", openblas_get_corename());
  if (const char* forced = std::getenv("OPENBLAS_CORETYPE"))
    fmt::print(stderr, "warning: OPENBLAS_CORETYPE={} is set, so these may not be the fastest; unset it\n",
               forced);
}

Record record_of(const Workload& workload, int threads, const Result& result) {
  const Measurement& time = result.time;
  return {.workload = workload.name,
          .threads = threads,
          .batch = result.batch,
          .ms_per_step = 1e3 * time.median,
          .win_min_ms = 1e3 * time.least,
          .win_max_ms = 1e3 * time.largest,
          .steps = time.steps,
          .clean = time.clean,
          .windows = time.windows,
          .peak_rss_mb = peak_memory(),
          .gflop_per_step = 1e-9 * result.cost.flops,
          .mb_per_step = 1e-6 * result.cost.bytes};
}

void run_peaks(const Options& options) {
  measure_peaks(options.timing, options.threads, [&](const Peak& peak) {
    if (options.json)
      fmt::print("{}\n", to_json(peak));
    else
      print_row(peak);
    std::fflush(stdout);
  });
}

void run_workloads(const Options& options) {
  if (!options.json) print_header();
  for (const Workload& workload : workloads()) {
    if (!options.names.empty() && std::ranges::find(options.names, workload.name) == options.names.end())
      continue;
    const Record record = record_of(workload, options.threads, workload.run(options.timing));
    if (options.json)
      fmt::print("{}\n", to_json(record));
    else
      print_row(record);
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  CLI::App app(
      "Times training, inference and norms of small networks. Compare with the reference program by "
      "apps/bench/compare.sh.",
      "ballast-bench");
  Options options;
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.list) {
    for (const Workload& workload : workloads())
      fmt::print("{:<14}{}\n", workload.name, workload.description);
    return 0;
  }
  if (options.compare) {
    compare(std::cin);
    return 0;
  }
  announce();
  ballast::set_num_threads(options.threads);
  ballast::manual_seed(1);
  if (options.peaks)
    run_peaks(options);
  else
    run_workloads(options);
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
