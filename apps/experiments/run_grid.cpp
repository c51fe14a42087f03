#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <thread>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>
#include <ballast/core/random.h>
#include <ballast/data/atomic_file.h>

#include "experiments/experiment.h"
#include "output.h"
#include "trainer/folder_lock.h"

namespace ballast::app::experiments {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// NaN is null.
double number(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

Json json_of(const Outcome& outcome) {
  Json setting = Json::object();
  for (const auto& [name, value] : outcome.setting.entries) setting[name] = value;
  return {{"setting", setting},
          {"seed", outcome.seed},
          {"values", outcome.figures.values},
          {"curves", outcome.figures.curves},
          {"seconds", outcome.seconds}};
}

Outcome outcome_of(const Json& json) {
  Outcome outcome;
  for (const auto& [name, value] : json.at("setting").items())
    outcome.setting.entries.emplace_back(name, value.get<std::string>());
  outcome.seed = json.at("seed").get<uint64_t>();
  for (const auto& [name, value] : json.at("values").items()) outcome.figures.values[name] = number(value);
  for (const auto& [name, curve] : json.at("curves").items())
    for (const Json& value : curve) outcome.figures.curves[name].push_back(number(value));
  outcome.seconds = json.at("seconds").get<double>();
  return outcome;
}

/// The finished runs of a folder.
class Kept {
 public:
  Kept(const Experiment& experiment, const Images& images, const GridOptions& options)
      : folder_(made(options.folder)), lock_(folder_) {
    const Json config = {{"experiment", experiment.name}, {"revision", experiment.revision},
                         {"data", images.name},           {"fingerprint", images.fingerprint},
                         {"quick", options.quick},        {"isa", detail::kernels().isa}};
    check_same(config);
    write_file_atomically(folder_ + "/config.json", config.dump(2) + "\n");
    read();
  }

  const Outcome* find(const Setting& setting, uint64_t seed) const {
    const auto found = std::ranges::find_if(outcomes_, [&](const Outcome& outcome) {
      return outcome.seed == seed && outcome.setting.entries == setting.entries;
    });
    return found == outcomes_.end() ? nullptr : &*found;
  }

  void add(const Outcome& outcome) {
    outcomes_.push_back(outcome);
    lines_ += json_of(outcome).dump() + "\n";
    write_file_atomically(path(), lines_);
  }

 private:
  static std::string made(const std::string& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    check<ValueError>(!error, "can't make the folder {}: {}; choose another one with --out", folder,
                      error.message());
    return folder;
  }

  std::string path() const { return folder_ + "/metrics.jsonl"; }

  void check_same(const Json& config) const {
    const std::string before = text_of_file(folder_ + "/config.json");
    if (before.empty()) return;
    const Json saved = Json::parse(before, nullptr, false);
    for (const auto& [name, value] : config.items())
      check<ValueError>(
          saved.is_object() && saved.contains(name) && saved[name] == value,
          "{}: its runs are of something else: their {} is not {}; remove the folder, or choose "
          "another one with --out",
          folder_, name, value.dump());
  }

  void read() {
    std::istringstream lines(text_of_file(path()));
    for (std::string line; std::getline(lines, line);) {
      try {
        outcomes_.push_back(outcome_of(Json::parse(line)));
        lines_ += line + "\n";
      } catch (const Json::exception& error) {
        throw FileError(path(), "SYNTAX", fmt::format("a line that no run has written: {}", error.what()));
      }
    }
  }

  std::string folder_;
  FolderLock lock_;
  std::vector<Outcome> outcomes_;
  std::string lines_;
};

struct Job {
  const Setting* setting;
  uint64_t seed;
};

Outcome run(const Experiment& experiment, const Images& images, bool quick, const Job& job) {
  const auto start = std::chrono::steady_clock::now();
  manual_seed(job.seed);
  const Figures figures = experiment.run({*job.setting, job.seed, images, quick});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {*job.setting, job.seed, figures, seconds.count()};
}

std::string summary(const Outcome& outcome) {
  std::string text;
  size_t shown = 0;
  for (const auto& [name, value] : outcome.figures.values)
    if (shown++ < 4) text += fmt::format(", {} {:.4g}", name, value);
  return text;
}

/// Takes jobs one after the other, on as many threads as given, and hands what they give to `keep`. The first
/// exception ends it.
void run_side_by_side(const std::vector<Job>& jobs, size_t threads,
                      const std::function<Outcome(const Job&)>& work,
                      const std::function<void(const Outcome&)>& keep) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto worker = [&] {
    for (size_t at = next++; at < jobs.size(); at = next++) {
      try {
        const Outcome outcome = work(jobs[at]);
        const std::lock_guard lock(mutex);
        keep(outcome);
      } catch (...) {
        next = jobs.size();  // at once: another thread may be keeping its outcome
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (size_t i = 0; i < std::min(threads, jobs.size()); ++i) pool.emplace_back(worker);
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

/// One thread for each run, while it lives.
class OneThread {
 public:
  OneThread() { set_num_threads(1); }
  ~OneThread() { set_num_threads(before); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

  const int before = num_threads();
};

}  // namespace

Results run_grid(const Experiment& experiment, const Images& images, const GridOptions& options) {
  Kept kept(experiment, images, options);
  const std::vector<Setting> settings =
      images.reference.empty() ? experiment.settings : joined(experiment.settings, experiment.compared);
  std::vector<Job> jobs;
  for (uint64_t seed = 0; seed < static_cast<uint64_t>(options.seeds); ++seed)
    for (const Setting& setting : settings)
      if (!kept.find(setting, seed)) jobs.push_back({&setting, seed});

  const size_t all = settings.size() * static_cast<size_t>(options.seeds);
  size_t done = all - jobs.size();
  if (done > 0) complain("{}: {} of {} runs are kept in {}\n", experiment.name, done, all, options.folder);
  const auto work = [&](const Job& job) { return run(experiment, images, options.quick, job); };
  const auto keep = [&](const Outcome& outcome) {
    kept.add(outcome);
    complain("{} {}/{}: {}{}seed {}{} ({:.1f} s)\n", experiment.name, ++done, all, outcome.setting.text(),
             outcome.setting.entries.empty() ? "" : " ", outcome.seed, summary(outcome), outcome.seconds);
  };
  std::optional<OneThread> one;
  if (!experiment.alone) one.emplace();
  run_side_by_side(jobs, one ? static_cast<size_t>(one->before) : 1, work, keep);

  std::vector<Outcome> outcomes;
  for (const Setting& setting : settings)
    for (uint64_t seed = 0; seed < static_cast<uint64_t>(options.seeds); ++seed)
      outcomes.push_back(*kept.find(setting, seed));
  return Results(std::move(outcomes));
}

}  // namespace ballast::app::experiments
