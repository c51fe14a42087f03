// Runs as their files tell them, and the page that shows several; page_figures_test.cpp has every figure of a
// page.
#include "trainer/saved_run.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../temp_folder.h"
#include "page_data.h"
#include "trainer/run_folder.h"
#include "trainer/run_page.h"
#include "trainer/test_report.h"
#include "trainer/training.h"

using namespace ballast;
using namespace ballast::app;
using Json = nlohmann::ordered_json;

namespace {

TrainOptions small_options(int64_t seed, double lr) {
  TrainOptions options;
  options.data.train_size = 200;
  options.data.test_size = 60;
  options.model.model = "flatten, linear 16, norm, act, linear";
  options.training.epochs = 2;
  options.training.batch_size = 50;
  options.training.seed = seed;
  options.training.lr = lr;
  options.given = {"model"};
  validate(options);
  return options;
}

/// Trains as the program does.
void train_into(const std::string& path, const TrainOptions& options) {
  const RunFolder folder = RunFolder::create(path, "");
  Run run(options);
  folder.write_config(options);
  run_training(run, {.epoch = [&](Trainer&, const EpochMetrics&) {
                 folder.write_weights(run);
                 folder.write_metrics(run.at.history);
               }});
  const TestReport test = test_report(run.model, run.test);
  folder.write_summary(run, test.total);
  folder.write_test(to_json(test, run.info(), run.test));
}

std::string message_of(const auto& throwing) {
  try {
    throwing();
  } catch (const Error& error) {
    return error.message;
  }
  return "";
}

}  // namespace

TEST_CASE("saved run: metrics.csv and what is read of metrics.jsonl are the history; a cut file is named") {
  const TempFolder folder;
  const std::string path = folder / "run";
  std::vector<EpochMetrics> history = {{1, 4, 2.5, 0.25, 1.0 / 3, 0.5, 1e-3, 1234.5, 0.1},
                                       {2, 8, 2.25, std::nan(""), std::nan(""), 0.75, 1e-4, 1000, 0.2}};
  {
    const RunFolder run = RunFolder::create(path, "");
    run.write_metrics(history);
  }
  const std::vector<EpochMetrics> found = read_metrics(path);
  REQUIRE(found.size() == 2);
  CHECK(found[0].val_loss == 1.0 / 3);
  CHECK(std::isnan(found[1].val_loss));
  CHECK(found[1].step == 8);
  CHECK(read_all(path + "/metrics.csv") ==
        "epoch,step,train_loss,train_accuracy,val_loss,val_accuracy,lr,images_per_s,seconds\n"
        "1,4,2.5,0.25,0.3333333333333333,0.5,0.001,1234.5,0.1\n"
        "2,8,2.25,,,0.75,0.0001,1000,0.2\n");
  const std::string text = read_all(path + "/metrics.jsonl");
  write_bytes(path + "/metrics.jsonl", text.substr(0, text.size() - 9));
  CHECK(message_of([&] { read_metrics(path); }).find("line 2 is not the figures of an epoch") !=
        std::string::npos);
  write_bytes(path + "/metrics.jsonl", "");
  CHECK_THROWS_AS(read_metrics(path), FileError);
  CHECK_THROWS_AS(read_metrics(folder / "none"), FileError);
}

TEST_CASE("run page: curves are means and deviations over seeds, groups differ in what was asked to differ") {
  const TempFolder folder;
  const std::string a = folder / "a", b = folder / "b", c = folder / "c", page = folder / "page.html";
  train_into(a, small_options(0, 1e-3));
  train_into(b, small_options(1, 1e-3));
  train_into(c, small_options(0, 1e-2));
  const std::vector<SavedRun> runs = {read_run(a), read_run(b), read_run(c)};
  write_run_page(runs, page);
  const Json data = page_data(page);
  REQUIRE(data["groups"].size() == 2);
  CHECK(data["groups"][0]["name"] == "lr 0.001");
  CHECK(data["groups"][0]["runs"] == Json({"a", "b"}));
  CHECK(data["groups"][1]["name"] == "lr 0.01");
  const auto first = read_metrics(a), second = read_metrics(b);
  const double x = first[1].val_loss, y = second[1].val_loss;
  const Json& loss = data["groups"][0]["curves"]["val_loss"];
  CHECK(loss["y"][1].get<double>() == doctest::Approx((x + y) / 2));
  CHECK(loss["high"][1] == std::max(x, y));
  CHECK(loss["low"][1] == std::min(x, y));
  CHECK_FALSE(data["groups"][1]["curves"]["val_loss"].contains("low"));
  const Json& rate = data["groups"][1]["learning_rate"];
  CHECK(rate["step"].size() == 8);  // 4 steps an epoch
  CHECK(rate["lr"][7].get<double>() == doctest::Approx(read_metrics(c)[1].lr));
  CHECK(data["groups"][0]["results"]["test_score"]["mean"].get<double>() ==
        doctest::Approx((*runs[0].test_score + *runs[1].test_score) / 2));
}

TEST_CASE("saved run: what isn't a run, and runs tested on different samples, are named") {
  const TempFolder folder;
  const std::string a = folder / "a", b = folder / "b";
  TrainOptions options = small_options(0, 1e-3);
  train_into(a, options);
  options.data.test_size = 80;
  train_into(b, options);
  CHECK(message_of([&] {
          groups_of({read_run(a), read_run(b)});
        }).find("tested on different samples") != std::string::npos);
  CHECK_THROWS_AS(read_run(folder / "none"), FileError);
  write_bytes(a + "/test.json", "{\"loss\":");
  CHECK(message_of([&] { read_run(a); }).find("test.json: it is no JSON") != std::string::npos);
}
