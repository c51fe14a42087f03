#include "trainer/run_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <ballast/data/checkpoint.h>
#include <ballast/layers/analysis/advice.h>
#include <ballast/layers/analysis/summary.h>

#include "page/page.h"
#include "trainer/models.h"
#include "trainer/norm_sets.h"
#include "trainer/optimizers.h"

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Mean& mean) {
  return {{"mean", mean.mean}, {"deviation", mean.deviation ? Json(*mean.deviation) : Json()}};
}

/// A figure of each epoch: the mean over the runs, and where there are several a band from the least to the
/// largest.
template <class Member>
Json curve(const RunGroup& group, size_t epochs, Member member) {
  Json y = Json::array(), low = Json::array(), high = Json::array();
  for (size_t i = 0; i < epochs; ++i) {
    std::vector<double> values;
    for (const SavedRun* run : group.runs)
      values.push_back(static_cast<double>(std::invoke(member, run->history[i])));
    const auto [least, largest] = std::minmax_element(values.begin(), values.end());
    y.push_back(mean_of(values).mean), low.push_back(*least), high.push_back(*largest);
  }
  if (group.runs.size() < 2) return {{"y", y}};
  return {{"y", y}, {"low", low}, {"high", high}};
}

Json curves(const RunGroup& group) {
  size_t epochs = group.runs[0]->history.size();
  for (const SavedRun* run : group.runs) epochs = std::min(epochs, run->history.size());
  Json json = {{"epoch", curve(group, epochs, &EpochMetrics::epoch)["y"]},
               {"seconds", curve(group, epochs, &EpochMetrics::seconds)["y"]},
               {"train_loss", curve(group, epochs, &EpochMetrics::train_loss)},
               {"val_loss", curve(group, epochs, &EpochMetrics::val_loss)},
               {"train_accuracy", curve(group, epochs, &EpochMetrics::train_accuracy)},
               {"val_accuracy", curve(group, epochs, &EpochMetrics::val_accuracy)}};
  return json;
}

/// The learning rate at up to 200 of the steps that were taken: a run may have stopped before those planned.
Json learning_rate(const SavedRun& run) {
  const EpochMetrics& last = run.history.back();
  const int64_t steps = run.options.training.epochs * (last.step / last.epoch),
                shown = std::min<int64_t>(last.step, 200);
  Json json = {{"step", Json::array()}, {"lr", Json::array()}};
  if (shown < 2) return json;
  const Schedule schedule = make_schedule(run.options.training, steps);
  for (int64_t i = 0; i < shown; ++i) {
    const int64_t step = i * (last.step - 1) / (shown - 1);
    //~ const int64_t step = i * (steps - 1) / (shown - 1);
    json["step"].push_back(step + 1);
    json["lr"].push_back(schedule(step));
    //~ json["lr"].push_back(schedule(step + 1));
  }
  return json;
}

Json results(const RunGroup& group) {
  const auto mean = [&](auto value) {
    std::vector<double> values;
    for (const SavedRun* run : group.runs)
      if (const std::optional<double> found = value(*run)) values.push_back(*found);
    return json_of(mean_of(values));
  };
  using Value = std::optional<double>;
  return {
      {"test_score", mean([](const SavedRun& run) { return run.test_score; })},
      {"val_accuracy", mean([](const SavedRun& run) -> Value { return run.best().val_accuracy; })},
      {"val_loss", mean([](const SavedRun& run) -> Value { return run.best().val_loss; })},
      {"epoch", mean([](const SavedRun& run) -> Value { return static_cast<double>(run.best().epoch); })},
      {"seconds", mean([](const SavedRun& run) -> Value { return run.history.back().seconds; })},
      {"images_per_s", mean([](const SavedRun& run) -> Value { return run.history.back().images_per_s; })}};
}

/// What the norms of a network average over in training, in batches of this size.
Json norms_of(const std::vector<LayerSummary>& layers, int64_t batch_size) {
  Json json = Json::array();
  for (const LayerSummary& layer : layers) {
    const LayerInfo info = layer.module->info();
    if (!info.norm || layer.input.rank() < 2) continue;
    const Shape x = layer.input.without(0).inserted(0, batch_size);
    const NormInfo norm = by_channels(*info.norm, x);
    json.push_back({{"path", layer.path},
                    {"layer", layer.layer},
                    {"channels", x[1]},
                    {"positions", x.count(2, x.rank())},
                    {"over_batch", norm.over_batch},
                    {"channels_together", norm.channels_together},
                    {"over_positions", norm.over_positions},
                    {"text", norm_text(norm, x)}});
  }
  return json;
}

/// The layers of a run's network, and the advice that applies to it.
void add_model(Json& json, const SavedRun& run) {
  json["layers"] = json["advice"] = Json::array();
  if (!run.info) return;
  Sequential model = make_model(run.info->model, run.info->sample_shape, run.info->outputs);
  load(run.checkpoint, model);
  const ModelSummary found = summarize(model, run.info->sample_shape.inserted(0, 1));
  json["input"] = run.info->sample_shape.str();
  json["parameters"] = found.parameters;
  json["multiply_adds"] = found.multiply_adds ? Json(*found.multiply_adds) : Json();
  for (const LayerSummary& layer : found.layers)
    if (!layer.path.empty())
      json["layers"].push_back(
          {{"path", layer.path},
           {"layer", layer.layer},
           {"output", layer.output.without(0).str()},
           {"parameters", layer.parameters},
           {"multiply_adds", layer.multiply_adds ? Json(*layer.multiply_adds) : Json()}});
  const TrainingOptions& training = run.options.training;
  json["norms"] = norms_of(found.layers, training.batch_size);
  for (const Advice& advice :
       advise(model, {.batch_size = training.batch_size, .weight_decay = *training.weight_decay}))
    //~ advise(model, {.batch_size = 128, .weight_decay = *training.weight_decay}))
    json["advice"].push_back(
        {{"rule", advice.rule}, {"path", advice.path}, {"text", advice.text}, {"source", advice.source}});
}

/// Name, value, and whether it is the default.
Json config_of(const SavedRun& run) {
  TrainOptions options = run.options, defaults;
  defaults.training.optimizer = options.training.optimizer;
  const auto count = run.info ? run.info->fingerprint.find("train_size") : Fingerprint::const_iterator{};
  if (run.info && count != run.info->fingerprint.end()) {
    const int64_t samples = std::stoll(count->second);
    TrainingOptions training = options.training;
    training.epochs = 0;
    defaults.training.epochs = epochs_for(training, samples);
    training.batch_size = 0;
    defaults.training.batch_size = batch_size_for(training, samples);
  }
  validate(defaults);  // fills in what depends on the optimizer
  defaults.training.optimizer = TrainingOptions().optimizer;
  const OptionList list = options_of(options), standard = options_of(defaults);
  Json json = Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string value = list[i].name == "data" && run.info ? data_name(*run.info) : value_text(list[i]);
    json.push_back({list[i].name, value, value == value_text(standard[i])});
  }
  return json;
}

Json parsed(const std::string& text) { return text.empty() ? Json() : Json::parse(text); }

Json json_of(const RunGroup& group) {
  const SavedRun& run = *group.runs[0];
  Json folders = Json::array();
  for (const SavedRun* each : group.runs)
    folders.push_back(std::filesystem::path(each->folder).lexically_normal().filename().string());
  Json json = {{"name", group.name},
               {"model", description(run.options.model)},
               {"data", run.info ? data_name(*run.info) : ""},
               {"task", !run.info || run.info->kind != TargetKind::values ? "classes" : "values"},
               {"runs", folders},
               {"curves", curves(group)},
               {"learning_rate", learning_rate(run)},
               {"results", results(group)},
               {"planned_epochs", run.options.training.epochs},
               {"summary", parsed(run.summary)},
               {"config", config_of(run)},
               {"test", parsed(run.test)},
               {"layers_over_time", parsed(run.layers)}};
  add_model(json, run);
  return json;
}

}  // namespace

std::string run_figures(const std::vector<SavedRun>& runs) {
  Json json = {{"groups", Json::array()}};
  for (const RunGroup& group : groups_of(runs)) json["groups"].push_back(json_of(group));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write_run_page(const std::vector<SavedRun>& runs, const std::string& path) {
  const std::vector<RunGroup> groups = groups_of(runs);
  std::string title = groups.size() == 1 ? description(runs[0].options.model)
                                         : fmt::format("{} runs in comparison", runs.size());
  constexpr size_t most_named = 4;
  if (groups.size() > 1 && groups.size() <= most_named) {
    std::vector<std::string> names;
    names.reserve(groups.size());
    for (const RunGroup& group : groups) names.push_back(group.name);
    title += fmt::format(": {}", fmt::join(names, "; "));
  }
  write_page(path, "runs", title, run_figures(runs));
}

}  // namespace ballast::app
