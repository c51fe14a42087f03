#include "trainer/saved_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include <ballast/data/safetensors.h>

#include "options/config.h"
#include "trainer/layer_record.h"
#include "trainer/models.h"
#include "trainer/run_folder.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The JSON in a file, or "" where there is no such file. Throws FileError.
std::string json_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return "";
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!Json::accept(text)) throw FileError(path, "JSON", "it is no JSON, as if the file was cut or edited");
  return text;
}

/// Options that leave the result as it is.
const Given without_effect = {"threads", "workers", "save-every", "probe", "seed"};

/// Values of the options that matter, by name, as on the command line.
std::map<std::string, std::string> values_of(const SavedRun& run) {
  TrainOptions options = run.options;
  std::map<std::string, std::string> values;
  for (const Option& option : options_of(options))
    if (!without_effect.contains(option.name))
      values[option.name] = option.name == "data" && run.info ? data_name(*run.info) : value_text(option);
  return values;
}

void check_same_test(const std::vector<SavedRun>& runs) {
  const auto hash = [](const SavedRun& run, const std::string& name) {
    const auto found = run.info ? run.info->fingerprint.find(name) : Fingerprint::const_iterator{};
    return run.info && found != run.info->fingerprint.end() ? found->second : "";
  };
  // The same images in another size are other pixels, whose labels tell that they are the same.
  const auto resized = [&](const SavedRun& run) {
    return run.info && runs[0].info && data_name(*run.info) == data_name(*runs[0].info) &&
           run.options.data.shape != runs[0].options.data.shape;
  };
  for (const SavedRun& run : runs)
    for (const std::string name : {"test_images", "test_labels", "test_size"}) {
      if (name == "test_images" && resized(run)) continue;
      const std::string first = hash(runs[0], name), other = hash(run, name);
      check<ValueError>(
          first.empty() || other.empty() || first == other,
          "{} and {} were tested on different samples, so their figures can't be compared; give "
          "runs on the same data",
          runs[0].folder, run.folder);
    }
}

std::string group_name(const SavedRun& run, const std::vector<std::string>& differing) {
  const auto values = values_of(run);
  std::vector<std::string> parts;
  for (const std::string& name : differing) {
    const std::string& value = values.at(name);
    parts.push_back(fmt::format("{} {}", name, value.empty() ? "none" : value));
  }
  return parts.empty() ? description(run.options.model) : fmt::format("{}", fmt::join(parts, ", "));
}

/// Of a folder that is no run itself, the runs in it, by name.
std::vector<std::string> runs_below(const std::string& folder) {
  std::vector<std::string> runs;
  std::error_code error;
  if (fs::exists(folder + "/config.toml", error)) return runs;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (std::error_code none; fs::exists(at->path() / "config.toml", none))
      runs.push_back(at->path().string());
  std::ranges::sort(runs);
  return runs;
}

}  // namespace

SavedRun read_run(const std::string& folder, int64_t layer_records) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw FileError(folder, "RUN", "there is no such folder; give that of a run of ballast train");
  SavedRun run;
  run.folder = folder;
  read_config(folder, run.options);
  validate(run.options);
  run.history = read_metrics(folder);
  run.summary = json_file(folder + "/summary.json");
  run.test = json_file(folder + "/test.json");
  run.layers = read_layer_record(folder + "/layers.jsonl", layer_records);
  if (const std::string path = folder + "/best.safetensors"; fs::exists(path, error)) {
    run.checkpoint = path;
    run.info = checkpoint_info(path, SafetensorsFile(path).metadata());
  }
  if (!run.summary.empty()) {
    const Json test = Json::parse(run.summary).value("test", Json::object());
    for (const char* name : {"accuracy", "r2"})
      if (test.contains(name) && test[name].is_number()) run.test_score = test[name].get<double>();
  }
  return run;
}

std::vector<SavedRun> read_runs(const std::vector<std::string>& given) {
  std::vector<std::string> folders;
  for (const std::string& folder : given) {
    std::vector<std::string> below = runs_below(folder);
    if (below.empty()) below = {folder};
    folders.insert(folders.end(), below.begin(), below.end());
  }
  const int64_t records = std::max<int64_t>(100 / std::max<int64_t>(std::ssize(folders), 1), 25);
  std::vector<SavedRun> runs;
  runs.reserve(folders.size());
  for (const std::string& folder : folders) runs.push_back(read_run(folder, records));
  return runs;
}

std::vector<RunGroup> groups_of(const std::vector<SavedRun>& runs) {
  check_same_test(runs);
  std::vector<std::string> differing;
  const auto first = values_of(runs.at(0));
  TrainOptions order = runs[0].options;
  for (const Option& option : options_of(order)) {
    const auto differs = [&](const SavedRun& run) {
      return values_of(run).at(option.name) != first.at(option.name);
    };
    if (first.contains(option.name) && std::ranges::any_of(runs, differs)) differing.push_back(option.name);
  }
  std::vector<RunGroup> groups;
  for (const SavedRun& run : runs) {
    const std::string name = group_name(run, differing);
    auto group = std::ranges::find(groups, name, &RunGroup::name);
    if (group == groups.end()) group = groups.insert(group, {name, {}});
    group->runs.push_back(&run);
  }
  return groups;
}

}  // namespace ballast::app
