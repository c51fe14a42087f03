// Layers over time: what --probe writes, beside figures computed in another way, and that training isn't
// touched.
#include "trainer/layer_record.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <ballast/core/ops.h>
#include <ballast/layers/functional.h>

#include "../temp_folder.h"
#include "state_of.h"
#include "trainer/training.h"

using namespace ballast;
using namespace ballast::app;
using Json = nlohmann::ordered_json;

namespace {

TrainOptions small_options() {
  TrainOptions options;
  options.data.train_size = 200;
  options.data.test_size = 20;
  options.model.model = "flatten, linear 16, norm, act, dropout 0.1, linear";
  options.training.epochs = 2;
  options.training.batch_size = 32;
  options.given = {"model"};
  validate(options);
  return options;
}

/// Trains up to `stop` steps from where the run is.
void train(Run& run, LayerRecord* record, int64_t stop = 1'000'000) {
  const TrainingEvents events{.step =
                                  [&](const Trainer&) {
                                    if (record) record->step(run);
                                  },
                              .stop = [&] { return run.at.step >= stop; }};
  run_training(run, events);
}

}  // namespace

TEST_CASE("layer record: training gives the same bits with it as without") {
  const TempFolder folder;
  Run plain(small_options()), watched(small_options());
  random_state() = plain.at.random;
  train(plain, nullptr);
  random_state() = watched.at.random;
  LayerRecord record(watched, folder / "layers.jsonl", 3);
  train(watched, &record);
  CHECK(state_of(plain) == state_of(watched));
  CHECK(plain.at.history.back().train_loss == watched.at.history.back().train_loss);
}

TEST_CASE("layer record: figures of the first record are those of the network before training") {
  const TempFolder folder;
  const std::string path = folder / "layers.jsonl";
  Run run(small_options());
  { const LayerRecord record(run, path, 5); }
  const Json json = Json::parse(read_layer_record(path, 100));
  REQUIRE(json["records"].size() == 1);
  const Json &first = json["records"][0], &layers = first["layers"];
  CHECK(first["step"] == 0);
  REQUIRE(json["about"]["layers"].size() == 6);
  CHECK(json["about"]["layers"][1]["layer"] == "Linear 784 -> 16");
  // The same batch, layer by layer.
  Loader loader(run.loader.dataset(), {.batch_size = 128, .seed = 0});
  const Batch batch = *loader.begin();
  CHECK(json["about"]["samples"] == 128);
  Tensor x = flatten(batch.x);
  const Tensor y = run.model[1](x);
  const auto near = [](double value) { return doctest::Approx(value).epsilon(2e-3); };
  std::vector<real> sorted(y.values().begin(), y.values().end());
  std::sort(sorted.begin(), sorted.end());
  const Json& output = layers[1]["output"];
  CHECK(output["percentiles"][2].get<double>() == near(sorted[sorted.size() / 2 - 1]));
  CHECK(output["percentiles"][0].get<double>() == near(sorted[sorted.size() / 100]));
  CHECK(output["mean"].get<double>() == doctest::Approx(mean(y).item()).epsilon(1e-2));
  int64_t counted = 0;
  for (const Json& count : output["histogram"]) counted += count.get<int64_t>();
  CHECK(counted == doctest::Approx(0.98 * 128 * 16).epsilon(0.01));
  // Of the ReLU behind a batch norm: shares of units by what batch statistics make of them.
  const Tape tape;
  const FrozenStatisticsScope frozen;
  const Tensor z = relu(run.model[2](y));
  double dead = 0, half = 0;
  for (int64_t c = 0; c < 16; ++c) {
    int64_t active = 0;
    for (int64_t n = 0; n < 128; ++n) active += z(n, c) > 0;
    dead += active == 0;
    half += active >= 32 && active <= 96;
  }
  CHECK(layers[3]["dead_units"].get<double>() == near(dead / 16));
  CHECK(layers[3]["half_active_units"].get<double>() == near(half / 16));
  CHECK_FALSE(layers[1].contains("angle"));  // nothing before to compare with
  CHECK(layers[1]["condition"].get<double>() >= layers[1]["correlation_condition"].get<double>() * 0);
}

TEST_CASE("layer record: of a run that was stopped and resumed it is that of one that wasn't") {
  const TempFolder folder;
  const std::string whole = folder / "whole.jsonl", parts = folder / "parts.jsonl";
  for (const std::string& path : {whole, parts}) {
    Run run(small_options());
    random_state() = run.at.random;
    LayerRecord record(run, path, 3);
    train(run, &record, path == parts ? 5 : 1'000'000);
    if (path == whole) continue;
    record.save();
    LayerRecord resumed(run, path, 3);
    train(run, &resumed);
  }
  CHECK(read_all(parts) == read_all(whole));
}

TEST_CASE(
    "layer record: a resumed run goes on with the file, without the steps to come and a line that was cut") {
  const TempFolder folder;
  const std::string path = folder / "layers.jsonl";
  Run run(small_options());
  random_state() = run.at.random;
  LayerRecord record(run, path, 2);
  train(run, &record, 5);
  run.at.step = 3;  // as if the last save had been there
  { std::ofstream(path, std::ios::app) << "{\"step\":6,\"lay"; }
  const LayerRecord resumed(run, path, 2);
  const Json json = Json::parse(read_layer_record(path, 100));
  REQUIRE(json["records"].size() == 2);
  CHECK(json["records"][1]["step"] == 2);
  CHECK(json["records"][1]["layers"][1].contains("angle"));
  CHECK(Json::parse(read_layer_record(path, 1))["records"].size() == 1);
  CHECK(read_layer_record(folder / "none", 5).empty());
  write_bytes(path, read_all(path) + "{}\n");
  CHECK_THROWS_AS(read_layer_record(path, 100), FileError);
}

TEST_CASE("layer record: of many layers fewer records are read, the first and the last among them") {
  const TempFolder folder;
  Json about = {{"layers", Json::array()}};
  for (int i = 0; i < 250; ++i) about["layers"].push_back(i);
  std::string lines = about.dump() + "\n";
  for (int step = 0; step < 60; ++step)
    lines += Json({{"step", step}, {"layers", Json::array()}}).dump() + "\n";
  write_bytes(folder / "layers.jsonl", lines);
  const Json records = Json::parse(read_layer_record(folder / "layers.jsonl", 100))["records"];
  REQUIRE(records.size() == 20);
  CHECK(records[0]["step"] == 0);
  CHECK(records[19]["step"] == 59);
}
