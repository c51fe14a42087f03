#include "trainer/layer_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include <ballast/core/scope.h>
#include <ballast/core/tape.h>
#include <ballast/data/atomic_file.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>
#include <ballast/data/score.h>
#include <ballast/layers/analysis/spectrum.h>

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

// Chosen so that looking takes a few milliseconds per layer, and a page of a long run stays small.
constexpr int64_t samples = 128;
constexpr auto step_key = "ballast_step";
const ProbeOptions options = {.bins = 40, .most_values = 8192, .condition = true, .most_channels = 32};

/// Four significant digits.
Json short_number(double value) {
  if (!std::isfinite(value)) return {};
  return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr);
}

Json json_of(const ActivationStats& stats) {
  Json percentiles = Json::array();
  for (const double p : stats.percentiles) percentiles.push_back(short_number(p));
  Json json = {{"mean", short_number(stats.mean)},
               {"deviation", short_number(std::sqrt(stats.variance))},
               //~ {"deviation", short_number(stats.variance)},
               {"percentiles", percentiles},
               {"histogram", stats.histogram}};
  if (stats.not_finite > 0) json["not_finite"] = stats.not_finite;
  return json;
}

Json json_of(const LayerProbe& layer) {
  Json json = Json::object();
  if (layer.output.count > 0) json["output"] = json_of(layer.output);
  if (layer.input.count > 0) json["input"] = json_of(layer.input);
  if (layer.gradient.count > 0) json["gradient"] = json_of(layer.gradient);
  const auto add = [&](const char* name, const std::optional<double>& value) {
    if (value) json[name] = short_number(*value);
  };
  add("dead_units", layer.dead_units), add("half_active_units", layer.half_active_units);
  add("condition", layer.condition), add("correlation_condition", layer.correlation_condition);
  add("input_spread", layer.input_spread);
  add("input_mean_drift", layer.input_mean_drift), add("input_variance_drift", layer.input_variance_drift);
  add("gradient_norm", layer.gradient_norm), add("weight_norm", layer.weight_norm);
  add("effective_lr", layer.effective_lr), add("angle", layer.angle);
  add("mean_drift", layer.mean_drift), add("variance_drift", layer.variance_drift);
  if (const auto& spread = layer.gamma_over_sigma)
    json["gamma_over_sigma"] = {short_number(spread->least), short_number(spread->mean),
                                short_number(spread->largest)};
  return json;
}

/// The first batch of training, as it is read in the first epoch.
Batch first_batch(const Run& run) {
  const Dataset& data = run.loader.dataset();
  Loader loader(data, {.batch_size = std::min(samples, data.size),
                       .seed = static_cast<uint64_t>(run.options.training.seed)});
  for (const Batch& batch : loader) return batch;
  throw UsageError("a training part without samples");  // a run has some
}

Json about(const Probe& probe, int64_t size) {
  Json layers = Json::array();
  for (const LayerProbe& layer : probe.layers())
    layers.push_back({{"path", layer.path}, {"layer", layer.layer}});
  return {{"samples", size},
          {"values", options.most_values},
          {"channels", options.most_channels},
          {"percentiles", options.percentiles},
          {"layers", layers}};
}

/// The whole lines of a file; none if there is no such file.
std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && !file.eof();) lines.push_back(line);
  return lines;
}

Json parsed(const std::string& path, const std::vector<std::string>& lines, size_t i) {
  Json json = Json::parse(lines[i], nullptr, false);
  if (!json.is_object() || !json.contains("layers") || json.contains("step") != (i > 0))
    throw FileError(path, "LAYERS", fmt::format("line {} is not what --probe writes", i + 1));
  return json;
}

}  // namespace

LayerRecord::LayerRecord(Run& run, std::string path, int64_t every,
                         std::function<void(int64_t, const Probe&)> seen)
    : path_(std::move(path)),
      every_(every),
      seen_(std::move(seen)),
      batch_(first_batch(run)),
      model_(run.model) {
  probe_.emplace(model_, options);
  probe_->pause();
  const std::vector<std::string> lines = lines_of(path_);
  std::string kept = about(*probe_, batch_.size()).dump() + "\n";
  for (size_t i = 1; i < lines.size() && run.at.step > 0; ++i) {
    const int64_t step = parsed(path_, lines, i)["step"].get<int64_t>();
    if (step > run.at.step) break;
    //~
    kept.append(lines[i]).append("\n");
    last_ = step;
  }
  write_file_atomically(path_, kept);
  if (last_ < 0)
    step(run);
  else
    look_again(run);
  //~ {}
}

void LayerRecord::step(const Run& run) {
  if (run.at.step % every_ != 0 || run.at.step == last_) return;
  last_ = run.at.step;
  record(run);
}

std::string LayerRecord::weights() const {
  return std::filesystem::path(path_).replace_extension(".safetensors").string();
}

void LayerRecord::save() const { ballast::save(weights(), model_, {{step_key, fmt::format("{}", last_)}}); }

/// What a run that is resumed has seen last. Nothing, if it was saved by a program that was stopped between
/// its two files: the next look is then the first.
void LayerRecord::look_again(const Run& run) {
  if (!std::filesystem::exists(weights())) return;
  const Metadata metadata = SafetensorsFile(weights()).metadata();
  const auto step = metadata.find(step_key);
  if (step == metadata.end() || step->second != fmt::format("{}", last_)) return;
  load(weights(), model_);
  look(run.last_lr());
}

Tensor LayerRecord::look(double lr) {
  const RestoreRandomState restored;
  manual_seed(0);  // the same dropout each time
  Tape tape;
  const Tensor loss = [&] {
    const FrozenStatisticsScope frozen;
    probe_->resume();
    Score found = score(model_(batch_.x), batch_);
    probe_->pause();
    return found.loss;
  }();
  tape.backward(loss);
  probe_->step(lr);
  return loss;
}

void LayerRecord::record(const Run& run) {
  model_ = run.model;  // in place, so that the probe's layers are the same
  const Tensor loss = look(run.last_lr());
  if (seen_) seen_(run.at.step, *probe_);
  Json layers = Json::array();
  for (const LayerProbe& layer : probe_->layers()) layers.push_back(json_of(layer));
  const Json line = {{"step", run.at.step},
                     {"loss", short_number(double{loss.item()})},
                     {"lr", short_number(run.last_lr())},
                     {"layers", layers}};
  std::ofstream file(path_, std::ios::app);
  file << line.dump() << "\n" << std::flush;
  if (!file) throw FileError(path_, "WRITE", "can't write to it; is the disk full?");
}

std::string read_layer_record(const std::string& path, int64_t most) {
  const std::vector<std::string> lines = lines_of(path);
  if (lines.empty()) return "";
  Json json = {{"about", parsed(path, lines, 0)}, {"records", Json::array()}};
  constexpr int64_t layers_in_all = 5000, least = 10;
  const int64_t layers = std::max<int64_t>(static_cast<int64_t>(json["about"]["layers"].size()), 1);
  const auto records = static_cast<int64_t>(lines.size()) - 1,
             shown = std::min({records, most, std::max(layers_in_all / layers, least)});
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t at = shown == 1 ? 0 : i * (records - 1) / (shown - 1);
    json["records"].push_back(parsed(path, lines, static_cast<size_t>(at + 1)));
  }
  return json.dump();
}

}  // namespace ballast::app
