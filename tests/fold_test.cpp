// A folded network computes what the network did, without its batch norms.
#include <doctest/doctest.h>

#include <cmath>

#include <ballast/ballast.h>

#include "models.h"
#include "temp_folder.h"

using namespace ballast;

namespace {

// Moves norms away from their initial state, where folding would change next to nothing.
void disturb_norms(Module& model) {
  for_each_module(model, [](const std::string&, Module& part) {
    const auto norm = dynamic_cast<TrackingNorm*>(&part);
    if (!norm) return;
    const Shape shape{norm->channels};
    if (!norm->weight.empty()) norm->weight.assign(randn(shape)), norm->bias.assign(randn(shape));
    if (norm->options.track_running_stats)
      norm->running_mean.assign(randn(shape)), norm->running_var.assign(rand(shape, real(0.1), 3));
  });
}

// Largest difference over the largest value.
double relative_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double difference = 0, largest = 0;
  for (int64_t i = 0; i < a.count(); ++i) {
    difference = std::max<double>(difference, std::abs(a.data()[i] - b.data()[i]));
    largest = std::max<double>(largest, std::abs(a.data()[i]));
  }
  return difference / largest;
}

constexpr double tolerance = sizeof(real) == 4 ? 1e-5 : 1e-12;

int64_t norms_in(Module& model) {
  int64_t count = 0;
  for_each_module(model, [&](const std::string&, Module& part) {
    count += dynamic_cast<TrackingNorm*>(&part) != nullptr;
  });
  return count;
}

std::string reason(const FoldReport& report, const std::string& norm) {
  for (const auto& kept : report.kept) {
    if (kept.norm == norm) return kept.reason;
  }
  return "not kept";
}

}  // namespace

TEST_CASE("a pair folds, with and without bias, affine and groups; the norm becomes the identity") {
  manual_seed(1);
  const auto check_pair = [](auto layer, auto norm, const Tensor& x) {
    CAPTURE(layer.describe());
    disturb_norms(norm);
    const Tensor y = norm(layer(x));
    fold(layer, norm);
    CHECK(relative_difference(y, layer(x)) <= tolerance);
    CHECK(relative_difference(y, norm(layer(x))) <= tolerance);
  };
  check_pair(Linear(5, 7, {.bias = false}), BatchNorm1d(7), randn({6, 5}));
  check_pair(Linear(5, 7), BatchNorm1d(7, {.eps = real(0.1)}), randn({6, 5}));
  check_pair(Linear(5, 7), BatchNorm1d(7, {.affine = false}), randn({6, 5}));
  check_pair(Conv2d(4, 6, 3, {.padding = 1, .groups = 2}), BatchNorm2d(6), randn({2, 4, 5, 5}));
  check_pair(Conv2d(4, 6, 3, {.stride = 2, .dilation = 2, .bias = false}), BatchNorm2d(6),
             randn({2, 4, 7, 8}));
  check_pair(Conv2d(4, 6, 3), InstanceNorm2d(6, {.affine = true, .track_running_stats = true}),
             randn({2, 4, 5, 5}));
  check_pair(Conv1d(3, 6, 3), BatchNorm1d(6), randn({2, 3, 9}));
  check_pair(Conv1d(4, 6, 3, {.groups = 2, .bias = false}), BatchNorm1d(6), randn({2, 4, 9}));
}

TEST_CASE("a pair that can't be folded says why") {
  Linear layer(3, 4);
  BatchNorm1d untracked(4, {.track_running_stats = false}), other(5);
  CHECK_THROWS_AS(fold(layer, untracked), UsageError);
  CHECK_THROWS_AS(fold(layer, other), ShapeError);
  ReLU relu;
  LayerNorm by_sample(4);
  CHECK_THROWS_AS(fold(relu, other), UsageError);
  CHECK_THROWS_AS(fold(layer, by_sample), UsageError);
}

TEST_CASE("a model folds at any depth, and its norms are gone") {
  manual_seed(2);
  Sequential net(Conv2d(1, 4, 3, {.padding = 1, .bias = false}), BatchNorm2d(4), ReLU(),
                 Residual(Sequential(Conv2d(4, 4, 3, {.padding = 1}), BatchNorm2d(4), ReLU(), Conv2d(4, 4, 1),
                                     BatchNorm2d(4)),
                          Sequential(Conv2d(4, 4, 1, {.bias = false}), BatchNorm2d(4))),
                 Flatten(), Sequential(Linear(144, 8, {.bias = false}), BatchNorm1d(8)), ReLU(),
                 Linear(8, 3));
  disturb_norms(net);
  const Tensor x = randn({5, 1, 6, 6}), y = net(x);
  const int64_t parameters = parameter_count(net);
  const FoldReport report = fold(net);
  CHECK(norms_in(net) == 0);
  CHECK(report.kept.empty());
  REQUIRE(report.folded.size() == 5);
  CHECK(report.folded[0].norm == "1");
  CHECK(report.folded[0].into == "0");
  CHECK(report.folded[2].norm == "3.body.4");
  CHECK(report.folded[2].into == "3.body.3");
  CHECK(report.folded[4].norm == "5.1");
  CHECK(relative_difference(y, net(x)) <= tolerance);
  CHECK(parameter_count(net) < parameters);
  CHECK(fold(net).folded.empty());
}

TEST_CASE("a folded checkpoint has the new numbers, and loads into a folded model") {
  manual_seed(3);
  Sequential net = small_cnn(), other = small_cnn();
  disturb_norms(net);
  const Tensor x = randn({3, 1, 12, 12});
  fold(net), fold(other);
  const TempFolder folder;
  save(folder / "folded.safetensors", net);
  load(folder / "folded.safetensors", other);
  CHECK(relative_difference(net(x), other(x)) == 0);
  std::vector<std::string> names;
  for_each_parameter(net, [&](const std::string& path, Parameter&) { names.push_back(path); });
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "3.weight", "3.bias", "7.weight", "7.bias",
                                          "9.weight", "9.bias"});
}

TEST_CASE("what can't be folded stays, works, and is listed with the reason") {
  manual_seed(4);
  struct Own : Module {
    Linear fc{4, 6};
    BatchNorm1d norm{6};
    Tensor forward(Tensor x) override { return norm(fc(std::move(x))); }
    void visit(Visitor& v) override { v("fc", fc), v("norm", norm); }
  };
  Sequential net(BatchNorm1d(4), Own(), ReLU(), BatchNorm1d(6), Linear(6, 6),
                 BatchNorm1d(6, {.track_running_stats = false}), Linear(6, 6), BatchNorm1d(6), BatchNorm1d(6),
                 Linear(6, 6), BatchNorm1d(6), Linear(6, 6), BatchNorm1d(6));
  disturb_norms(net);
  dynamic_cast<Linear&>(net[11]).weight.tie(dynamic_cast<Linear&>(net[9]).weight);
  const Tensor x = randn({8, 4}), y = net(x);
  const FoldReport report = fold(net);
  CHECK(relative_difference(y, net(x)) <= 10 * tolerance);
  CHECK(report.folded.size() == 2);  // 7 into 6, and then 8 too
  CHECK(reason(report, "0") == "no layer stands before it");
  CHECK(
      reason(report, "1.norm") ==
      "held by 1 (module), which doesn't say in which order it calls its parts; override its info(), or use "
      "fold(layer, norm)");
  CHECK(reason(report, "3") == "comes after ReLU, which has no weight and bias to fold into");
  CHECK(reason(report, "5") == "keeps no running statistics");
  CHECK(reason(report, "10") == "Linear 6 -> 6 shares its weight or bias with another layer");
  CHECK(reason(report, "12") == "Linear 6 -> 6 shares its weight or bias with another layer");
  CHECK(report.kept.size() == 6);
  auto& own = dynamic_cast<Own&>(net[1]);
  fold(own.fc, own.norm);
  CHECK(relative_difference(y, net(x)) <= 10 * tolerance);
}

TEST_CASE("what a second layer uses too isn't changed under it") {
  manual_seed(5);
  const auto check_same = [](Sequential& net) {
    disturb_norms(net);
    const Tensor x = randn({5, 6}), y = net(x);
    const FoldReport report = fold(net);
    CHECK(relative_difference(y, net(x)) <= 10 * tolerance);
    return report;
  };
  SUBCASE("a bias") {
    Sequential net(Linear(6, 6), BatchNorm1d(6), ReLU(), Linear(6, 6));
    dynamic_cast<Linear&>(net[3]).bias.tie(dynamic_cast<Linear&>(net[0]).bias);
    CHECK(reason(check_same(net), "1") == "Linear 6 -> 6 shares its weight or bias with another layer");
  }
  SUBCASE("the weight of a norm that is removed") {
    Sequential net(Linear(6, 6), BatchNorm1d(6), ReLU(), BatchNorm1d(6));
    dynamic_cast<BatchNorm1d&>(net[3]).weight.tie(dynamic_cast<BatchNorm1d&>(net[1]).weight);
    CHECK(check_same(net).folded.size() == 1);
  }
}

TEST_CASE("a norm is folded into the last layer of the sequence before it") {
  manual_seed(6);
  Sequential net(Sequential(Conv1d(4, 6, 3), Sequential()), BatchNorm1d(6));
  disturb_norms(net);
  const Tensor x = randn({2, 4, 7}), y = net(x);
  const FoldReport report = fold(net);
  REQUIRE(report.folded.size() == 1);
  CHECK(report.folded[0].into == "0.0");
  CHECK(relative_difference(y, net(x)) <= tolerance);
}

TEST_CASE("a norm over other channels than the layer's outputs stays") {
  Sequential net(Linear(4, 6), BatchNorm1d(5));  // on (N, 5, 4): the channels are the second axis
  disturb_norms(net);
  const Tensor x = randn({3, 5, 4}), y = net(x);
  CHECK(reason(fold(net), "1") == "Linear 4 -> 6 doesn't give 5 channels");
  CHECK(relative_difference(y, net(x)) == 0);
}
