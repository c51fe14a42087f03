#include "run_folder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include <ballast/data/atomic_file.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

template <class M, class F>
void for_each_metric(M& m, F f) {
  f("epoch", m.epoch), f("step", m.step);
  f("train_loss", m.train_loss), f("train_accuracy", m.train_accuracy);
  f("test_loss", m.test_loss), f("test_accuracy", m.test_accuracy);
  f("lr", m.lr), f("images_per_s", m.images_per_s), f("seconds", m.seconds);
}

// What isn't a finite number becomes null.
Json json_of(const EpochMetrics& metrics) {
  Json json;
  for_each_metric(metrics, [&](const char* name, const auto& value) { json[name] = value; });
  return json;
}

template <class P, class F>
void for_each_count(P& at, F f) {
  f("epoch", at.epoch), f("batch", at.batch), f("step", at.step);
  f("loss_sum", at.loss_sum), f("correct", at.correct), f("samples", at.samples);
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

Position position_of(const Json& json) {
  Position at;
  const auto read = [](const Json& from) {
    return [&from](const char* name, auto& value) { from.at(name).get_to(value); };
  };
  for_each_count(at, read(json));
  for (const Json& line : json.at("history")) for_each_metric(at.history.emplace_back(), read(line));
  return at;
}

// What tells one data set from another.
Json fingerprint(const Run& run) {
  return {{"train_size", run.loader.dataset().size},
          {"test_size", run.test.size},
          {"mean", run.standardization.mean},
          {"std", run.standardization.std}};
}

constexpr auto state_key = "ballast_state";

void check_resumable(const TrainOptions& saved, const Given& given) {
  const Given changeable = {"resume", "threads", "save-every", "data", "epochs"};
  for (const std::string& name : given)
    check<ValueError>(changeable.contains(name),
                      "--{} can't be given with --resume: the run goes on with the options it began with",
                      name);
  check<ValueError>(
      !given.contains("epochs") || saved.training.schedule == "constant",
      "--epochs can't be changed with --resume: the {} schedule depends on the number of epochs from the "
      "first step on; start a new run",
      saved.training.schedule);
}

}  // namespace

void RunFolder::check_free(const std::string& out) {
  std::error_code error;
  check<ValueError>(!fs::exists(out, error) || fs::is_directory(out, error),
                    "--out {}: exists and is not a folder", out);
  check<ValueError>(
      !fs::exists(out, error) || fs::is_empty(out, error),
      "--out {}: the folder is not empty; go on with its run by --resume {}, or choose another folder", out,
      out);
}

RunFolder RunFolder::create(const std::string& out, const std::string& name) {
  std::error_code error;
  std::string path = out;
  if (!out.empty()) {
    check_free(out);
    fs::create_directories(out, error);
  } else {
    fs::create_directories("runs", error);
    bool created = false;
    for (int number = 1; !created && !error; ++number) {
      path = fmt::format("runs/{}-{}", name, number);
      created = fs::create_directory(path, error);
      // A file of that name is in the way: the next number.
      if (error == std::errc::file_exists) error.clear();
    }
  }
  check<ValueError>(!error, "can't make the folder {}: {}; choose another one with --out", path,
                    error.message());
  return RunFolder(path);
}

void RunFolder::write_config(const TrainOptions& options) const {
  write_file_atomically(file("config.toml"),
                        "# ballast train --config config.toml repeats this run\n" + to_toml(options));
}

void RunFolder::write_metrics(const std::vector<EpochMetrics>& history) const {
  std::string lines;
  for (const EpochMetrics& metrics : history) lines += json_of(metrics).dump() + "\n";
  write_file_atomically(file("metrics.jsonl"), lines);
}

void RunFolder::write_summary(Run& run) const {
  const std::vector<EpochMetrics>& history = run.at.history;
  const Json summary = {{"model", run.options.model.model},
                        {"norm", run.options.model.norm},
                        {"parameters", parameter_count(run.model)},
                        {"epochs", run.options.training.epochs},
                        {"finished", run.done()},
                        {"final", json_of(history.back())},
                        {"best", json_of(*best_epoch(history))}};
  write_file_atomically(file("summary.json"), summary.dump(2) + "\n");
}

void RunFolder::write_weights(Run& run) const {
  const Metadata metadata = to_metadata(run.info());
  if (best_epoch(run.at.history) == &run.at.history.back())
    save(file("best.safetensors"), run.model, metadata);
  save(file("last.safetensors"), run.model, metadata);
}

void RunFolder::save_state(Run& run) const {
  const Json state = {{"options", Json::parse(to_json(run.options))},
                      {"data", fingerprint(run)},
                      {"position", json_of(run.at)}};
  save(file("state.safetensors"), {{"model", run.model}, {"optimizer", *run.optimizer}},
       {{state_key, state.dump()}});
}

Run RunFolder::resume(const TrainOptions& given) const {
  const std::string path = file("state.safetensors");
  const Metadata metadata = SafetensorsFile(path).metadata();
  const auto found = metadata.find(state_key);
  if (found == metadata.end()) throw FileError(path, "STATE", "this is not the state of a run");
  const Json state = Json::parse(found->second, nullptr, false);
  Position at;
  TrainOptions options;
  Json data;
  try {
    options = from_json<TrainOptions>(state.at("options").dump());
    at = position_of(state.at("position"));
    data = state.at("data");
  } catch (const std::exception& error) {
    throw FileError(path, "STATE",
                    fmt::format("what it says about its run makes no sense: {}", error.what()));
  }
  check_resumable(options, given.given);
  options = merged(options, given, given.given);
  validate(options);
  Run run(options);
  check<ValueError>(fingerprint(run) == data,
                    "--data {}: these are not the data that the run began with; give its data with --data",
                    options.data.data);
  check<ValueError>(at.batch >= 0 && at.batch <= run.loader.batches() && at.epoch >= 0,
                    "{}: STATE: it has done {} batches of an epoch of {}", path, at.batch,
                    run.loader.batches());
  load(path, {{"model", run.model}, {"optimizer", *run.optimizer}});
  run.at = std::move(at);
  random_state() = run.at.random;
  return run;
}

}  // namespace ballast::inline BALLAST_PRECISION
