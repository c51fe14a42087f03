#include "options/options.h"

#include <doctest/doctest.h>

#include <set>

#include <ballast/core/scope.h>
#include <ballast/core/tensor.h>
#include <ballast/layers/group_norm.h>

#include "commands/command.h"
#include "trainer/models.h"
#include "trainer/optimizers.h"
#include "trainer/run.h"
#include "trainer/training.h"

using namespace ballast;
using namespace ballast::app;

TEST_CASE("options: the batch size is the given one, or follows the number of training samples") {
  TrainingOptions options;
  for (const auto& [samples, size] :
       {std::pair{1, 32}, {1279, 32}, {1280, 64}, {2559, 64}, {2560, 128}, {60'000, 128}})
    CHECK(batch_size_for(options, samples) == size);
  options.batch_size = 3;
  CHECK(batch_size_for(options, 60'000) == 3);
}

TEST_CASE("the default number of epochs takes 100 steps at least") {
  TrainingOptions options;
  for (const auto& [samples, epochs] : {std::pair{1, 100}, {120, 25}, {1000, 4}, {2560, 5}, {60'000, 3}})
    CHECK(epochs_for(options, samples) == epochs);
  options.accumulate = 2;
  CHECK(epochs_for(options, 120) == 50);
  options.epochs = 2;
  CHECK(epochs_for(options, 120) == 2);
}

TEST_CASE("every preset with every norm and activation is built and computes") {
  const EvalScope evaluating;
  for (const auto& preset : presets()) {
    const std::string model = preset.name == "resnet-N" ? "resnet-8" : preset.name;
    for (const auto& norm : norms()) {
      for (const auto& activation : activations()) {
        if (model == "mlp" && norm.name == "instance") continue;  // refused
        ModelOptions options{.model = model, .norm = norm.name, .act = activation.name, .hidden = {16}};
        CAPTURE(model + " " + norm.name + " " + activation.name);
        CHECK(make_model(options, {1, 28, 28}, 10)(zeros({2, 1, 28, 28})).shape() == Shape{2, 10});
      }
    }
  }
}

TEST_CASE("an unknown name is an error wherever a table is asked") {
  CHECK_THROWS_AS(make_model({.model = "cnm"}, {1, 28, 28}, 10), ValueError);
  CHECK_THROWS_AS(make_model({.norm = "foo"}, {1, 28, 28}, 10), ValueError);
  CHECK_THROWS_AS(make_model({.act = "foo"}, {1, 28, 28}, 10), ValueError);
  TrainingOptions training;
  training.lr = 1;
  training.schedule = "foo";
  CHECK_THROWS_AS(make_schedule(training, 10), ValueError);
}

TEST_CASE("group_count: equal groups of at least 16 values, at most 8 of them") {
  CHECK(group_count({1, 512}) == 8);
  CHECK(group_count({1, 64}) == 4);
  CHECK(group_count({1, 16}) == 1);
  CHECK(group_count({1, 7}) == 1);
  CHECK(group_count({1, 32, 28, 28}) == 8);
  CHECK(group_count({1, 6, 28, 28}) == 2);
  CHECK(group_count({1, 64, 1, 1}) == 4);
}

TEST_CASE("options: JSON gives back what it was made from, and what isn't in it stays") {
  TrainingOptions options;
  options.lr = 0.25;
  options.freeze = {"0", "*.bias"};
  options.seed = INT64_MAX;
  const auto read = options_from_json<TrainingOptions>(json_of(options));
  CHECK(json_of(read) == json_of(options));
  CHECK(options_from_json<TrainingOptions>("{}").epochs == TrainingOptions().epochs);
  CHECK_THROWS_AS(options_from_json<TrainingOptions>(R"({"epochs": -1})"), ValueError);
  CHECK_THROWS_AS(options_from_json<TrainingOptions>(R"({"epochs": 2.5})"), ValueError);
  CHECK_THROWS_AS(options_from_json<TrainingOptions>("[]"), ValueError);
}

TEST_CASE("merged: the options given win, the others stay") {
  const ModelOptions base{.model = "mlp", .act = "gelu", .hidden = {3}},
      other{.model = "cnn", .hidden = {4, 5}};
  const ModelOptions both = merged(base, other, {"hidden"});
  CHECK(both.model == "mlp");
  CHECK(both.act == "gelu");
  CHECK(both.hidden == std::vector<int64_t>{4, 5});
}

TEST_CASE("commands: each has its own name, a help and examples, and no option twice") {
  std::set<std::string> names;
  for (const Command* command : commands()) {
    CHECK(names.insert(command->name).second);
    CHECK(!command->description.empty());
    CHECK(command->examples.find("ballast " + command->name) != std::string::npos);
    std::set<std::string> options;
    for (const Option& option : command->begin().options) {
      CHECK(options.insert(option.name).second);
      CHECK(!option.help.empty());
    }
  }
}

TEST_CASE("run_training: stops when it is asked to, having saved, and tells each epoch") {
  TrainOptions options;
  options.data.train_size = 24;
  options.data.test_size = 8;
  options.model = {.model = "mlp", .norm = "none", .hidden = {4}};
  options.training.batch_size = 8;
  options.training.epochs = 2;
  validate(options);
  Run run(options);
  int steps = 0, epochs = 0, saves = 0;
  const TrainingEvents events{.step = [&](const Trainer&) { ++steps; },
                              .epoch = [&](Trainer&, const EpochMetrics&) { ++epochs; },
                              .save = [&](Trainer&) { ++saves; },
                              .stop = [&] { return steps == 4; }};
  CHECK(run_training(run, events).end == TrainingResult::End::stopped);
  CHECK(steps == 4);
  CHECK(epochs == 1);
  CHECK(saves == 2);
  CHECK(run_training(run, events).end == TrainingResult::End::finished);
  CHECK(steps == 6);
  CHECK(epochs == 2);
}
