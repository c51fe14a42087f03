#include "trainer/run_folder.h"

#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>
#include <ballast/data/atomic_file.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>

#include "output.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

template <class M, class F>
void for_each_metric(M&& m, F f) {
  f("epoch", m.epoch), f("step", m.step);
  f("train_loss", m.train_loss), f("train_accuracy", m.train_accuracy);
  f("val_loss", m.val_loss), f("val_accuracy", m.val_accuracy);
  f("lr", m.lr), f("images_per_s", m.images_per_s), f("seconds", m.seconds);
}

// What isn't a finite number becomes null.
Json json_of(const EpochMetrics& metrics) {
  Json json;
  for_each_metric(metrics, [&](const char* name, const auto& value) { json[name] = value; });
  return json;
}

void read_metric(const Json& found, double& value) {
  value = found.is_null() ? std::numeric_limits<double>::quiet_NaN() : found.get<double>();
}
void read_metric(const Json& found, int64_t& value) { found.get_to(value); }

EpochMetrics metrics_of(const Json& json) {
  EpochMetrics metrics;
  for_each_metric(metrics, [&](const char* name, auto& value) { read_metric(json.at(name), value); });
  return metrics;
}

/// As the system calls it, or "" where it doesn't say.
std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "";
}

/// What isn't a finite number becomes an empty field.
std::string csv_of(const std::vector<EpochMetrics>& history) {
  std::vector<std::string> names;
  for_each_metric(EpochMetrics(), [&](const char* name, const auto&) { names.emplace_back(name); });
  std::string text = fmt::format("{}\n", fmt::join(names, ","));
  for (const EpochMetrics& metrics : history) {
    std::vector<std::string> fields;
    for_each_metric(metrics, [&](const char*, const auto& value) {
      fields.push_back(std::isfinite(static_cast<double>(value)) ? fmt::format("{}", value) : "");
    });
    text += fmt::format("{}\n", fmt::join(fields, ","));
  }
  return text;
}

/// Errors are in the units of the targets; those of several columns have none in common.
Json json_of(const Evaluation& test, bool classifies, const Standardization& targets) {
  if (classifies) return {{"loss", test.loss}, {"accuracy", test.accuracy()}};
  Json json = {{"loss", test.loss}, {"r2", test.r2}};
  if (targets.std.size() == 1) json["absolute_error"] = test.absolute_error * targets.std[0];
  return json;
}

template <class P, class F>
void for_each_count(P& at, F f) {
  f("epoch", at.epoch), f("batch", at.batch), f("step", at.step);
  f("loss_sum", at.loss_sum), f("correct", at.correct), f("samples", at.samples), f("labels", at.labels);
  f("epoch_seconds", at.epoch_seconds), f("seconds", at.seconds);
  f("random_seed", at.random.seed), f("random_tensors", at.random.tensors),
      f("random_tapes", at.random.tapes);
}

Json json_of(const Position& at) {
  Json json;
  for_each_count(at, [&](const char* name, const auto& value) { json[name] = value; });
  json["history"] = Json::array();
  for (const EpochMetrics& metrics : at.history) json["history"].push_back(json_of(metrics));
  return json;
}

constexpr int64_t unknown = -1;

// States from before labels could be ignored don't count them.
Position position_of(const Json& json) {
  Position at;
  at.labels = unknown;
  for_each_count(at, [&](const char* name, auto& value) {
    if constexpr (std::is_same_v<decltype(value), uint64_t&>)
      json.at(name).get_to(value);
    else if (json.contains(name) || name != std::string_view("labels"))
      read_metric(json.at(name), value);
  });
  for (const Json& line : json.at("history")) at.history.push_back(metrics_of(line));
  return at;
}

/// Throws ValueError unless the data are those of the saved run. States from before the hashes have fewer
/// entries.
void check_same_data(const Run& run, const Json& saved) {
  std::set<std::string> names;
  for (const auto& [name, value] : saved.items()) names.insert(name);
  if (saved.contains("train_images"))
    for (const auto& [name, value] : run.fingerprint) names.insert(name);
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  for (const std::string& name : names) {
    const std::string before = saved.contains(name) ? text(saved[name]) : "none";
    const auto found = run.fingerprint.find(name);
    const std::string value = found == run.fingerprint.end() ? "none" : found->second;
    check<ValueError>(before == value,
                      "--data {}: these are not the data that the run began with: they differ in {} ({} "
                      "then, {} now); give "
                      "its data with --data",
                      run.options.data.data, name, before, value);
  }
}

// The files of a run that are replaced while it goes on.
constexpr const char* files[] = {"config.toml",        "metrics.jsonl",     "metrics.csv",
                                 "summary.json",       "test.json",         "layers.jsonl",
                                 "layers.safetensors", "report.html",       "last.safetensors",
                                 "best.safetensors",   "state.safetensors", "events.out.tfevents.ballast"};

Json machine() {
  return {{"processor", processor_name()},
          {"instruction_set", detail::kernels().isa},
          {"threads", num_threads()},
          {"ballast", BALLAST_VERSION}};
}

void remove_abandoned(const std::string& folder) {
  for (const char* file : files) remove_abandoned_files(folder + "/" + file);
}

bool is_empty(const std::string& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename() != FolderLock::name) return false;
  return !error;
}

constexpr auto state_key = "ballast_state";

void check_resumable(const TrainOptions& saved, const Given& given) {
  const Given changeable = {"resume", "threads", "workers", "save-every", "probe",
                            "data",   "epochs",  "anomaly", "tensorboard"};
  const std::string others =
      "for others, begin a new one from its weights: train --config RUN/config.toml --init-from RUN --out "
      "NEW";
  for (const std::string& name : given)
    check<ValueError>(changeable.contains(name),
                      "--{} can't be given with --resume: the run goes on with the options it began with; {}",
                      name, others);
  check<ValueError>(
      !given.contains("epochs") || saved.training.schedule == "constant",
      "--epochs can't be changed with --resume: the {} schedule depends on the number of epochs from the "
      "first step on; {}",
      saved.training.schedule, others);
}

}  // namespace

RunFolder::RunFolder(std::string path, bool made) : path_(std::move(path)), made_(made), lock_(path_) {
  remove_abandoned(path_);
}

RunFolder RunFolder::open(const std::string& path) {
  check<ValueError>(fs::exists(path + "/state.safetensors"),
                    "--resume {}: there is no state.safetensors; give the folder of a run, as --out named it",
                    path);
  return RunFolder(path, false);
}

void RunFolder::check_free(const std::string& out) {
  std::error_code error;
  if (out.empty() || !fs::exists(out, error)) return;
  check<ValueError>(fs::is_directory(out, error), "--out {}: exists and is not a folder", out);
  if (fs::exists(out + "/" + FolderLock::name, error)) FolderLock{out};  // throws if a process writes to it
  remove_abandoned(out);
  if (is_empty(out)) return;
  throw ValueError(fmt::format("--out {}: the folder is not empty; {}choose another folder", out,
                               fs::exists(out + "/state.safetensors", error)
                                   ? fmt::format("go on with its run by --resume {}, or ", out)
                                   : ""));
}

RunFolder RunFolder::create(const std::string& out, const std::string& name) {
  std::error_code error;
  std::string path = out.empty() ? "runs" : out;
  bool made = fs::create_directories(path, error);
  if (out.empty() && !error) {
    made = false;
    for (int number = 1; !made && !error; ++number) {
      path = fmt::format("runs/{}-{}", name, number);
      made = fs::create_directory(path, error);
      // A file of that name is in the way: the next number.
      if (error == std::errc::file_exists) error.clear();
    }
  }
  check<ValueError>(!error, "can't make the folder {}: {}; choose another one with --out", path,
                    error.message());
  RunFolder folder(path, made);
  check<ValueError>(is_empty(path),
                    "--out {}: another process has begun a run in this folder; choose another one", path);
  return folder;
}

void RunFolder::discard() const {
  std::error_code error;
  for (const char* name : files) fs::remove(file(name), error);
  fs::remove(file(FolderLock::name), error);
  if (made_) fs::remove(path_, error);
}

void RunFolder::write_config(const TrainOptions& options) const {
  TrainOptions copy = options;
  write_file_atomically(file("config.toml"), "# ballast train --config config.toml repeats this run\n" +
                                                 to_toml(options_of(copy)));
}

void RunFolder::write_metrics(const std::vector<EpochMetrics>& history) const {
  std::string lines;
  for (const EpochMetrics& metrics : history) lines += json_of(metrics).dump() + "\n";
  write_file_atomically(file("metrics.jsonl"), lines);
  write_file_atomically(file("metrics.csv"), csv_of(history));
}

void RunFolder::write_summary(Run& run, const std::optional<Evaluation>& test) const {
  const std::vector<EpochMetrics>& history = run.at.history;
  Json summary = {{"model", run.options.model.model},
                  {"norm", run.options.model.norm},
                  {"parameters", parameter_count(run.model)},
                  {"epochs", run.options.training.epochs},
                  {"finished", run.done()},
                  {"final", json_of(history.back())},
                  {"best", json_of(*best_epoch(history))},
                  {"machine", machine()}};
  if (test) summary["test"] = json_of(*test, run.classifies(), run.target_standardization);
  write_file_atomically(file("summary.json"), summary.dump(2) + "\n");
}

void RunFolder::write_test(const std::string& json) const {
  write_file_atomically(file("test.json"), json + "\n");
}

std::vector<EpochMetrics> read_metrics(const std::string& folder) {
  const std::string path = folder + "/metrics.jsonl";
  std::ifstream file(path);
  if (!file)
    throw FileError(path, "OPEN", "there is none: the run has finished no epoch, or this isn't a run");
  std::vector<EpochMetrics> history;
  for (std::string line; std::getline(file, line);) {
    try {
      history.push_back(metrics_of(Json::parse(line)));
    } catch (const Json::exception&) {
      throw FileError(path, "METRICS",
                      fmt::format("line {} is not the figures of an epoch, as if the file was cut or edited",
                                  history.size() + 1));
    }
  }
  if (history.empty()) throw FileError(path, "METRICS", "it is empty: the run has finished no epoch");
  return history;
}

void RunFolder::write_weights(Run& run) const {
  if (best_epoch(run.at.history) == &run.at.history.back())
    save(file("best.safetensors"), run.result(), to_metadata(run.info(), path_ + "/best.safetensors"));
  save(file("last.safetensors"), run.result(), to_metadata(run.info(), path_ + "/last.safetensors"));
}

void RunFolder::save_state(Run& run) const {
  const Json state = {{"options", Json::parse(json_of(run.options))},
                      {"data", run.fingerprint},
                      {"isa", detail::kernels().isa},
                      {"position", json_of(run.at)}};
  std::vector<Named<const Parts>> parts;
  for (const Named<Parts>& named : run.state()) parts.push_back({named.name, named.parts});
  save(file("state.safetensors"), parts, {{state_key, state.dump()}});
}

std::unique_ptr<Run> RunFolder::resume(const TrainOptions& given) const {
  const std::string path = file("state.safetensors");
  const Metadata metadata = SafetensorsFile(path).metadata();
  const auto found = metadata.find(state_key);
  if (found == metadata.end()) throw FileError(path, "STATE", "this is not the state of a run");
  const Json state = Json::parse(found->second, nullptr, false);
  Position at;
  TrainOptions options;
  try {
    options = options_from_json<TrainOptions>(state.at("options").dump());
    at = position_of(state.at("position"));
    check<ValueError>(state.at("data").is_object(), "it doesn't know its data");
  } catch (const std::exception& error) {
    throw FileError(path, "STATE",
                    fmt::format("what it says about its run makes no sense: {}", error.what()));
  }
  check_resumable(options, given.given);
  options = merged(options, given, given.given);
  options.anomaly = given.anomaly;
  validate(options);
  auto resumed = std::make_unique<Run>(options);
  Run& run = *resumed;
  check_same_data(run, state["data"]);
  check<ValueError>(at.batch >= 0 && at.batch <= run.loader.batches() && at.epoch >= 0,
                    "{}: it has done {} batches of an epoch of {}", path, at.batch, run.loader.batches());
  load(path, run.state());
  if (at.labels == unknown) {  // and their sum of losses is over samples
    //~ if (false) {
    const int64_t each = run.classifies() ? run.loader.dataset().target_shape.count() : 1;
    at.labels = at.samples * each, at.loss_sum *= static_cast<double>(each);
  }
  run.at = std::move(at);
  random_state() = run.at.random;
  if (const std::string before = state.value("isa", ""); !before.empty() && before != detail::kernels().isa)
    complain(
        "note: this run was saved on {} and goes on with {}: the numbers that follow differ from those of "
        "an uninterrupted run by rounding\n",
        before, detail::kernels().isa);
  return resumed;
}

}  // namespace ballast::app
