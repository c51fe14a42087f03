// The loop of training: what it does about NaN, and what its options change.
#include "trainer/training.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include <ballast/core/ops.h>
#include <ballast/data/safetensors.h>
#include <ballast/layers/functional.h>

#include "../temp_folder.h"
#include "trainer/mixup.h"
#include "trainer/model_words.h"
#include "trainer/run.h"
#include "trainer/run_folder.h"

using namespace ballast;
using namespace ballast::app;

namespace {

TrainOptions small_options(const std::string& model) {
  TrainOptions options;
  options.data.train_size = 60;
  options.data.test_size = 20;
  options.model.model = model;
  options.model.norm = "none";
  options.training.batch_size = 20;
  options.training.save_every = "1";
  options.training.lr = 1e-3;
  options.training.weight_decay = 0;
  options.given = {"model"};
  return options;
}

constexpr real huge = std::numeric_limits<real>::max();

/// Lets numbers pass, and from the fifth step on makes an operation overflow, forward or, with a finite
/// result, backward.
struct Overflow : Module {
  explicit Overflow(std::string name) : op(std::move(name)) {}
  Tensor forward(Tensor x) override {
    if (!Tape::recording() || ++calls < 5) return x;
    const int64_t n = x.size(0), width = x.size(1);
    const Tensor large = x * real(0) + huge, map = reshape(large, {n, 1, 1, width});
    if (op == "result of *") return large * large.detach();
    if (op == "result of +") return large + large;
    if (op == "exp") return exp(large);
    if (op == "sum") return x + sum(large);
    if (op == "linear") return linear(large, ones({width, width}), {});
    if (op == "conv2d") return reshape(conv2d(map, full({1, 1, 1, 1}, 4), {}), x.shape());
    if (op == "layer_norm") return layer_norm(x, 1, full({width}, huge), full({width}, huge));
    if (op == "cross_entropy") return large * tensor({{1, -1, -1, -1, -1, -1, -1, -1, -1, -1}});
    if (op == "backward of sqrt") return sqrt(x * real(0));
    if (op == "backward of /")
      return large / (x * real(0) + real(1e30)) * real(1e-8) / (x * real(0) + real(1e-30));
    FAIL("no such operation");
    return x;
  }
  std::string op;
  int calls = 0;
};

/// A network with such a layer in it.
TrainOptions overflow_options(const std::string& op) {
  static std::string chosen;
  static const bool registered = [] {
    register_word({.name = "overflow", .help = "", .make = [](Place& p) { p.add(Overflow(chosen)); }});
    return true;
  }();
  REQUIRE(registered);
  chosen = op;
  return small_options(op == "cross_entropy" ? "flatten, linear, overflow"
                                             : "flatten, linear 10, overflow, linear");
}

struct Outcome {
  TrainingResult result;
  int64_t saved = -1;  // the step of the last save
};

Outcome train(
    Run& run, const std::function<void()>& after_step = [] {}) {
  Outcome outcome;
  outcome.result = run_training(run, {.step = [&](const Trainer&) { after_step(); },
                                      .save = [&](Trainer& t) { outcome.saved = t.at.step; }});
  return outcome;
}

void check_diverged(const Outcome& outcome, int64_t step, const std::string& why, int64_t saved) {
  CHECK(outcome.result.end == TrainingResult::End::diverged);
  CHECK(outcome.result.diverged.step == step);
  CHECK(outcome.saved == saved);
  CHECK_MESSAGE(outcome.result.why.find(why) != std::string::npos, outcome.result.why);
}

Parameter& parameter(Run& run, const std::string& name) {
  Parameter* found = nullptr;
  for_each_parameter(run.model, [&](const std::string& path, Parameter& p) {
    if (path == name) found = &p;
  });
  REQUIRE(found);
  return *found;
}

}  // namespace

TEST_CASE("an operation that overflows ends the training at that step, and is named") {
  for (const std::string op : {"result of *", "result of +", "exp", "sum", "linear", "conv2d", "layer_norm",
                               "cross_entropy", "backward of sqrt", "backward of /"}) {
    CAPTURE(op);
    TrainOptions options = overflow_options(op);
    {
      Run run(options);
      const bool backward = op.starts_with("backward");
      // A pass forward is done again to find the operation.
      check_diverged(train(run), 5, backward ? "isn't finite after the step; --resume with --anomaly" : op,
                     4);
    }
    options.anomaly = true;
    Run run(options);
    check_diverged(train(run), 5, op, 4);
  }
}

TEST_CASE("a weight or running statistic that isn't finite is found, though the loss is") {
  TrainOptions options = small_options("flatten, linear 8, batchnorm, relu, linear");
  options.training.save_every = "1000";  // saved after an epoch of 3 steps
  SUBCASE("NaN in a weight") {
    Run run(options);
    const auto poison = [&] {
      if (run.at.step == 4) parameter(run, "1.weight").data()[3] = NAN;
    };
    check_diverged(train(run, poison), 5, "\"1.weight\" isn't finite", 3);
  }
  SUBCASE("a bias of minus infinity, which relu hides") {
    Run run(options);
    const auto poison = [&] {
      if (run.at.step == 4) parameter(run, "2.bias").data()[3] = -INFINITY;
    };
    check_diverged(train(run, poison), 5, "\"2.bias\" isn't finite after the step", 3);
  }
  SUBCASE("a running variance, which training doesn't use") {
    Run run(options);
    const auto poison = [&] {
      if (run.at.step != 4) return;
      for_each_buffer(run.model, [](const std::string& name, Buffer& b) {
        if (name == "2.running_var") b.update()[0] = INFINITY;
      });
    };
    check_diverged(train(run, poison), 5, "\"2.running_var\" isn't finite after the step", 3);
  }
  SUBCASE("infinity in a matrix too large to be looked at in each step, before it is saved") {
    options.model.model = "flatten, linear 64, relu, linear";
    bool at_the_end = false;
    SUBCASE("after the step") { options.training.save_every = "1"; }
    SUBCASE("after the epoch") { at_the_end = true; }
    Run run(options);
    const int64_t step = at_the_end ? 6 : 5;
    const auto poison = [&] {  // before the step's save, so that the loss is finite
      if (run.at.step == step) parameter(run, "1.weight").data()[3] = -INFINITY;
    };
    const Outcome outcome = train(run, poison);
    CHECK(outcome.result.end == TrainingResult::End::diverged);
    CHECK(outcome.result.diverged.step == step);
    CHECK(outcome.saved == (at_the_end ? 3 : 4));
    CHECK(outcome.result.why.find("\"1.weight\" isn't finite") == 0);
  }
  SUBCASE("with clipping") {
    options = overflow_options("backward of sqrt");
    options.training.clip = 1;
    Run run(options);
    check_diverged(train(run), 5, "the gradient of \"1.weight\" isn't finite", 4);
  }
}

TEST_CASE("NaN in the data is named") {
  Run run(small_options("flatten, linear 8, relu, linear"));
  Dataset data = run.loader.dataset();
  data.read = [read = data.read](const Reading& reading, real* x, Target y) {
    read(reading, x, y);
    if (reading.epoch == 1 && reading.index == 7) x[100] = NAN;
  };
  run.loader = Loader(data, {.batch_size = 20});
  const Outcome outcome = train(run);
  const int64_t step = outcome.result.diverged.step;
  CHECK(step > 3);
  check_diverged(outcome, step, "the data aren't finite: the input of sample", step - 1);
}

namespace {

std::vector<real> weights_after(const TrainOptions& options) {
  Run run(options);
  CHECK(train(run).result.end == TrainingResult::End::finished);
  std::vector<real> values;
  for_each_parameter(run.result(), [&](const std::string&, const Parameter& p) {
    values.insert(values.end(), p.data(), p.data() + p.count());
  });
  return values;
}

}  // namespace

TEST_CASE("--accumulate: parts of a batch give the step of the whole, in the last and shorter one too") {
  TrainOptions whole = small_options("flatten, linear 8, relu, linear");
  whole.training.schedule = "cosine";
  whole.training.optimizer = "sgd";
  whole.training.epochs = 2;
  whole.training.batch_size = 16;  // 60 samples: 16, 16, 16, 12
  TrainOptions parts = whole;
  parts.training.batch_size = 8;
  parts.training.accumulate = 2;
  const std::vector<real> a = weights_after(whole), b = weights_after(parts);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5));
  CHECK(Run(parts).steps() == Run(whole).steps());
}

TEST_CASE("an epoch whose last step was saved and that is resumed then has the metrics it would have had") {
  TrainOptions options = small_options("flatten, linear 8, relu, linear");
  options.training.epochs = 1;
  Run whole(options), resumed(options);
  Position before_the_end;
  const auto note = [&] {
    if (whole.at.step == 3) before_the_end = whole.at;
  };
  CHECK(train(whole, note).result.end == TrainingResult::End::finished);
  resumed.at = before_the_end;
  CHECK(train(resumed).result.end == TrainingResult::End::finished);
  CHECK(resumed.at.history.back().lr == whole.at.history.back().lr);
}

TEST_CASE("--class-weights: balanced ones are like none where the classes are; others count") {
  TrainOptions options = small_options("flatten, linear 8, relu, linear");
  const std::vector<real> plain = weights_after(options);
  options.training.class_weights = "1,1,1,1,1,1,1,1,1,1";
  const std::vector<real> ones = weights_after(options);
  for (size_t i = 0; i < plain.size(); ++i) CHECK(plain[i] == doctest::Approx(ones[i]).epsilon(1e-5));
  options.training.class_weights = "1,1,1,1,1,1,1,1,1,9";
  CHECK(weights_after(options) != ones);
  options.training.class_weights = "balanced";
  CHECK(weights_after(options) != ones);  // the digits aren't
  options.training.class_weights = "1,2";
  CHECK_THROWS_AS(Run{options}, ValueError);
  CHECK_THROWS_AS(parse_class_weights("balance"), ValueError);
  CHECK_THROWS_AS(parse_class_weights("1,,2"), ValueError);
  CHECK_THROWS_AS(parse_class_weights("1,0"), ValueError);
}

TEST_CASE("--overfit-one-batch: the batch comes to be known by heart, with as many steps as ever") {
  TrainOptions options = small_options("flatten, linear 32, relu, linear");
  options.training.overfit_one_batch = true;
  options.training.epochs = 30;
  options.training.lr = 0.01;
  Run run(options);
  CHECK(run.steps() == 90);
  CHECK(run.validation.size == 20);
  CHECK(train(run).result.end == TrainingResult::End::finished);
  CHECK(run.at.history.back().val_accuracy == 1);
}

TEST_CASE("mixup: shares are from Beta(a, a), batches are mixed with themselves reversed") {
  for (const double alpha : {0.01, 0.2, 1.0, 8.0}) {
    CAPTURE(alpha);
    constexpr int count = 20'000;
    double sum = 0, squares = 0;
    for (int i = 0; i < count; ++i) {
      RandomStream random(1, 2, i, RandomPurpose::mixing);
      const double share = draw_share(random, alpha);
      REQUIRE(share >= 0);
      REQUIRE(share <= 1);
      sum += share;
      squares += (share - 0.5) * (share - 0.5);
    }
    CHECK(sum / count == doctest::Approx(0.5).epsilon(0.02));
    CHECK(squares / count == doctest::Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.04));  // the variance
  }
  const Batch batch{.x = tensor({{1, 2}, {3, 4}, {5, 6}}), .y = {7, 8, 9}};
  const Batch other = reversed(batch);
  CHECK(other.x(0, 1) == 6);
  CHECK(other.y[0] == 9);
  CHECK(other.y[1] == 8);
  CHECK(mixed(batch.x, other.x, 0.25)(0, 0) == real(0.25 * 1 + 0.75 * 5));
}

TEST_CASE("what is on the disk is at most one save interval behind, whenever the process is killed") {
  TrainOptions options = small_options("flatten, linear 8, dropout 0.2, linear");
  options.data.train_size = 110;  // 6 batches, of which two make a step
  options.training.epochs = 4;
  SUBCASE("each step") { options.training.save_every = "1"; }
  SUBCASE("each second step") { options.training.save_every = "2"; }
  SUBCASE("across the epochs") { options.training.save_every = "5"; }
  SUBCASE("with accumulation") {
    options.training.save_every = "2";
    options.training.accumulate = 2;
  }
  const int64_t interval = std::stoll(options.training.save_every);
  const TempFolder temp;
  const RunFolder folder = RunFolder::create(temp / "run", "");
  Run run(options);
  folder.write_config(options);
  folder.save_state(run);
  int64_t saved = 0, furthest = 0;
  run_training(run, {.step = [&](const Trainer& t) { furthest = std::max(furthest, t.at.step - saved); },
                     .save =
                         [&](Trainer&) {
                           folder.save_state(run);
                           saved = folder.resume(TrainOptions())->at.step;
                         }});
  CHECK(furthest == interval);
  CHECK(saved == run.steps());
}

TEST_CASE("a state from before labels could be ignored is resumed with all of them counted") {
  const TrainOptions options = small_options("flatten, linear 8, relu, linear");
  const TempFolder temp;
  const RunFolder folder = RunFolder::create(temp / "run", "");
  Run run(options);
  run.at.batch = 2, run.at.samples = 40, run.at.correct = 3, run.at.loss_sum = 80;
  const auto resumed_labels = [&](int64_t labels, bool known) {
    run.at.labels = labels;
    folder.save_state(run);
    const std::string path = temp / "run" + "/state.safetensors";
    Metadata metadata = SafetensorsFile(path).metadata();
    for (auto& [key, value] : metadata) {
      auto state = nlohmann::ordered_json::parse(value, nullptr, false);
      if (known || !state.contains("position")) continue;
      state["position"].erase("labels");
      value = state.dump();
    }
    std::vector<Named<const Parts>> parts;
    for (const Named<Parts>& named : run.state()) parts.push_back({named.name, named.parts});
    save(path, parts, metadata);
    return folder.resume(TrainOptions())->at.labels;
  };
  CHECK(resumed_labels(40, false) == 40);
  CHECK(resumed_labels(30, true) == 30);
  CHECK(resumed_labels(0, true) == 0);  // all of them were ignored so far
}
