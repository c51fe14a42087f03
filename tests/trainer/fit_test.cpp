// `fit`: any module, kinds of targets, the best epoch, callbacks, errors.
#include "trainer/fit.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <ballast/ballast.h>

#include "trainer/divergence.h"
#include "trainer/run.h"

using namespace ballast;
using namespace ballast::app;

namespace {

struct Net : Module {
  Linear fc1{784, 16, {.bias = false}};
  BatchNorm1d norm{16};
  Dropout dropout{0.2};
  Linear fc2{16, 10};
  Tensor forward(Tensor x) override { return fc2(dropout(relu(norm(fc1(flatten(std::move(x))))))); }
  void visit(Visitor& v) override { v("fc1", fc1), v("norm", norm), v("dropout", dropout), v("fc2", fc2); }
};

Split small_digits() { return split_off(digits(200, 1, 3).train, 0.2); }

std::vector<real> values_of(Module& model) {
  std::vector<real> all;
  const auto add = [&](const std::string&, const auto& part) {
    all.insert(all.end(), part.value().values().begin(), part.value().values().end());
  };
  for_each_parameter(model, add);
  for_each_buffer(model, add);
  return all;
}

}  // namespace

TEST_CASE("fit: a module of one's own learns, gets the weights of its best epoch, and each run is the same") {
  const Split data = small_digits();
  const FitOptions options{
      .epochs = 8,
      .loader = {.batch_size = 16, .min_batch = 2},
      .schedule = [](int64_t steps) { return schedule::cosine(0.02, steps); },
  };
  std::vector<real> weights[2];
  for (auto& found : weights) {
    manual_seed(1);
    Net net;
    AdamW optimizer(net);
    int64_t steps = 0;
    std::vector<double> losses;
    std::vector<std::vector<real>> after;
    const FitResult result = fit(net, data, optimizer, options,
                                 {.step = [&](const Trainer&) { ++steps; },
                                  .epoch =
                                      [&](Trainer& t, const EpochMetrics& m) {
                                        losses.push_back(m.val_loss);
                                        after.push_back(values_of(t.result()));
                                      }});
    CHECK(steps == 8 * 10);
    REQUIRE(result.history.size() == 8);
    CHECK(losses.size() == 8);
    CHECK_FALSE(result.stopped);
    for (const EpochMetrics& m : result.history) CHECK(m.val_accuracy <= result.best.val_accuracy);
    CHECK(result.best.val_accuracy > 0.5);
    CHECK(evaluate(net, data.validation).loss == doctest::Approx(result.best.val_loss));
    CHECK(values_of(net) == after.at(static_cast<size_t>(result.best.epoch - 1)));
    CHECK(result.history.back().lr < 1e-4);
    found = values_of(net);
  }
  CHECK(weights[0] == weights[1]);
}

TEST_CASE("fit: labels that are ignored neither train nor count, of samples or of positions") {
  // One step at rate 1 from weights of 0: the gradient is the mean over the labels that count.
  struct Logits : Module {
    Parameter weight{zeros({2})};  // the logits of every sample and position
    int64_t positions;
    explicit Logits(int64_t p) : positions(p) {}
    Tensor forward(Tensor x) override {
      if (positions == 0) return zeros({x.size(0), 2}) + weight;
      return zeros({x.size(0), 2, positions}) + reshape(weight.value(), {2, 1});
    }
    void visit(Visitor& v) override { v("weight", weight); }
  };
  const int32_t none = ignored_label;
  const Labels labels{0, none, 1, 0, none, none};
  for (const int64_t positions : {0, 2}) {
    CAPTURE(positions);
    Dataset train = positions == 0 ? from_tensors(zeros({6, 1}), labels)
                                   : from_tensors(zeros({3, 1}), labels, {positions});
    const auto trained = [&](int64_t batch_size) {
      Logits net(positions);
      SGD optimizer(net, {.lr = 1});
      const FitResult result = fit(net, {.train = train, .validation = train}, optimizer,
                                   {.epochs = 1, .loader = {.batch_size = batch_size, .shuffle = false}});
      return std::pair(result.history.at(0), net.weight.data()[0]);
    };
    const auto [line, weight] = trained(6);
    CHECK(line.train_loss == doctest::Approx(std::log(2.0)));
    CHECK(line.train_accuracy == doctest::Approx(2.0 / 3));
    CHECK(weight == doctest::Approx((2 * 0.5 - 0.5) / 3));  // labels 0, 1, 0 at p = 0.5
    // Logits w and -w.
    const double w = double{weight},
                 loss = (2 * std::log1p(std::exp(-2 * w)) + std::log1p(std::exp(2 * w))) / 3;
    CHECK(line.val_loss == doctest::Approx(loss));
    CHECK(line.val_accuracy == doctest::Approx(2.0 / 3));
    CHECK(std::isfinite(trained(1).first.train_loss));  // some batches have nothing that counts

    train = subset(train, positions == 0 ? 4 : 2, 1);
    CHECK_THROWS_WITH_AS(trained(1), "training: every label of the epoch is -100, which is ignored",
                         ValueError);
    train.read = [](const Reading&, real* x, Target y) { x[0] = 0, y.labels()[0] = 255; };
    CHECK_THROWS_WITH_AS(trained(1),
                         "the label of sample 0 is 255; it must be in 0 ... 1, or -100 (ignored_label)",
                         ValueError);
  }
}

TEST_CASE("fit: a best epoch before the last comes back, running statistics included") {
  const Split data = small_digits();
  manual_seed(1);
  Net net;
  SGD optimizer(net, {.lr = 0.1});
  std::vector<real> first;
  const FitResult result = fit(net, data, optimizer, {.epochs = 3, .loader = {.batch_size = 16}},
                               {.epoch = [&](Trainer& t, const EpochMetrics& m) {
                                 if (m.epoch == 1) first = values_of(t.result());
                                 t.at.history.back().val_accuracy =
                                     2.0 - 0.1 * static_cast<double>(m.epoch);  // as if it got worse
                               }});
  CHECK(result.best.epoch == 1);
  CHECK(values_of(net) == first);
}

TEST_CASE("fit: ends when patience does, and when it is told to") {
  const Split data = small_digits();
  manual_seed(1);
  Net net;
  SGD optimizer(net, {.lr = 0});
  const FitResult result =
      fit(net, data, optimizer, {.epochs = 50, .loader = {.batch_size = 16}, .patience = 3});
  CHECK(result.history.size() < 50);
  CHECK(result.history.size() == static_cast<size_t>(result.best.epoch + 3));
  int64_t steps = 0;
  const FitResult stopped =
      fit(net, data, optimizer, {.epochs = 50, .loader = {.batch_size = 16}},
          {.step = [&](const Trainer&) { ++steps; }, .stop = [&] { return steps == 14; }});
  CHECK(stopped.stopped);
  CHECK(steps == 14);
  CHECK(stopped.history.size() == 1);
}

TEST_CASE("fit: numbers are learned with their squared error, without a schedule at the optimizer's rate") {
  manual_seed(2);
  const Tensor x = randn({200, 3});
  Split data;
  data.train = from_tensors(x, linear(x, tensor({{1, -2, 3}}), tensor({0.5})));
  data.validation = subset(data.train, 0, 50);
  Sequential net(Linear(3, 1));
  AdamW optimizer(net, {.lr = 0.05, .weight_decay = 0});
  const FitResult result = fit(net, data, optimizer, {.epochs = 20, .loader = {.batch_size = 10}});
  CHECK(result.best.val_loss < 1e-3);
  CHECK(std::isnan(result.best.val_accuracy));
  CHECK(std::isnan(result.best.train_accuracy));
  CHECK(result.best.lr == 0.05);
}

TEST_CASE("fit: an average of the weights is what is evaluated and chosen") {
  const Split data = small_digits();
  manual_seed(1);
  Net net;
  Net average = net;
  AdamW optimizer(net, {.lr = 0.01});
  const FitResult result =
      fit(net, data, optimizer,
          {.epochs = 4, .loader = {.batch_size = 16}, .average = &average, .average_decay = 0.9});
  CHECK(evaluate(average, data.validation).loss == doctest::Approx(result.best.val_loss));
  CHECK(values_of(average) != values_of(net));
}

TEST_CASE("fit: without a validation part the last epoch is the result") {
  const Split data = small_digits();
  manual_seed(1);
  Net net;
  AdamW optimizer(net, {.lr = 0.01});
  std::vector<real> last;
  const FitResult result =
      fit(net, {.train = data.train}, optimizer, {.epochs = 2, .loader = {.batch_size = 16}},
          {.epoch = [&](Trainer& t, const EpochMetrics&) { last = values_of(t.result()); }});
  CHECK(result.best.epoch == 2);
  CHECK(std::isnan(result.best.val_loss));
  CHECK(values_of(net) == last);
}

TEST_CASE("fit: where it diverges it says so, and the model, or the average, is that of the best epoch") {
  const Split data = small_digits();
  for (const bool averaged : {false, true}) {
    manual_seed(1);
    Net net;
    Net average = net;
    AdamW optimizer(net, {.lr = 0.01});
    std::vector<real> best;
    std::string message;
    try {
      fit(net, data, optimizer,
          {.epochs = 4, .loader = {.batch_size = 16}, .average = averaged ? &average : nullptr},
          {.step =
               [&](const Trainer& t) {
                 if (t.at.step == 14) net.fc2.bias.data()[0] = NAN;
               },
           .epoch = [&](Trainer& t, const EpochMetrics&) { best = values_of(t.result()); }});
    } catch (const Diverged& error) {
      message = error.message;
    }
    CHECK(message.find("training diverged in epoch 2, step 15: \"fc2.bias\" isn't finite") == 0);
    const char* left = averaged ? "the average is that of its best epoch, the model is worthless"
                                : "the model has the weights of its best epoch";
    CHECK(message.find(left) != std::string::npos);
    CHECK(values_of(averaged ? average : net) == best);
  }
}

TEST_CASE("fit: the bits are those of a run of the program with the same options") {
  TrainOptions options;
  options.training.epochs = 3;
  options.data.train_size = 120;
  options.data.test_size = 20;
  options.model.model = "flatten, linear 8, norm, act, dropout 0.2, linear";
  options.training.batch_size = 16;
  options.training.accumulate = 2;
  options.training.mixup = 0.4;
  options.training.clip = 1;
  options.training.label_smoothing = 0.1;
  options.training.schedule = "cosine";
  options.given = {"model"};
  validate(options);
  Run run(options);
  random_state() = run.at.random;
  run_training(run, {});
  Run parts(options);  // its model, data and optimizer
  random_state() = parts.at.random;
  const Split data{.train = parts.loader.dataset(), .validation = parts.validation};
  std::vector<real> last;
  fit(parts.model, data, *parts.optimizer,
      {.epochs = options.training.epochs,
       .loader = {.batch_size = 16, .min_batch = 2},
       .schedule = [&](int64_t steps) { return schedule::cosine(*options.training.lr, steps); },
       .accumulate = 2,
       .clip = 1,
       .label_smoothing = 0.1,
       .mixup = 0.4},
      {.epoch = [&](Trainer& t, const EpochMetrics&) { last = values_of(t.result()); }});
  CHECK(last == values_of(run.model));
}

TEST_CASE("fit: options that make no sense are refused") {
  const Split data = small_digits();
  Net net;
  SGD optimizer(net, {.lr = 0.1});
  const auto refused = [&](const Split& split, const FitOptions& options, const std::string& why) {
    try {
      fit(net, split, optimizer, options);
      FAIL_CHECK("not refused");
    } catch (const ValueError& error) {
      CHECK_MESSAGE(error.message.find(why) != std::string::npos, error.message);
    }
  };
  refused(data, {.epochs = 0}, "0 epochs");
  refused(data, {.accumulate = 0}, "accumulate 0");
  refused(data, {.clip = -1}, "clip -1");
  refused({.train = data.train}, {.patience = 2}, "without a validation part");
  const Split values{.train = from_tensors(zeros({4, 784}), zeros({4, 1}))};
  refused(values, {.label_smoothing = 0.1}, "the targets are numbers");
}
