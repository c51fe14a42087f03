// Probes: what they measure is right, and whether they are attached changes no bit and costs nothing.
#include <doctest/doctest.h>

#include <cmath>

#include <ballast/ballast.h>

#include "models.h"

using namespace ballast;

namespace {

constexpr double tolerance = sizeof(real) == 4 ? 1e-4 : 1e-9;

std::vector<Tensor> state_of(Module& module) {
  std::vector<Tensor> tensors;
  for_each_parameter(module, [&](const std::string&, Parameter& p) { tensors.push_back(p.value().clone()); });
  for_each_buffer(module, [&](const std::string&, Buffer& b) { tensors.push_back(b.value().clone()); });
  return tensors;
}

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return std::equal(x.values().begin(), x.values().end(), y.values().begin(), y.values().end());
  });
}

struct Passes : Module {  // hands its input on
  Tensor forward(Tensor x) override { return x; }
};

struct Counting : CallObserver {
  int calls = 0;
  void called(const Module&, const Tensor&, const Tensor&) override { ++calls; }
};

}  // namespace

TEST_CASE("attached probes change no bit of the training") {
  const auto trained = [](bool attached) {
    manual_seed(1);
    Sequential net = every_norm();
    const Noise noise(64);
    AdamW optimizer(net, {.lr = 1e-3});
    std::optional<Probe> probe;
    if (attached) probe.emplace(net, ProbeOptions{.condition = true});
    for (int step = 0; step < 4; ++step) {
      Tape tape;
      const Tensor loss = cross_entropy(net(noise.x), noise.y);
      tape.backward(loss);
      if (probe) probe->step(optimizer.lr());
      optimizer.step();
    }
    if (probe) CHECK((*probe)["0"].output.count == 64 * 16 * 144);
    std::vector<Tensor> state = state_of(net);
    state.push_back(randn({3}));  // the random numbers to come are the same too
    return state;
  };
  CHECK(same_bits(trained(false), trained(true)));
}

TEST_CASE("without a probe a layer may still work in its input's memory, and with one it may not") {
  Sequential net{ReLU()};
  const auto in_place = [&] {
    Tensor x = randn({4});
    const real* memory = x.data();
    return net(std::move(x)).data() == memory;
  };
  CHECK(in_place());
  {
    const Probe probe(net);
    CHECK_FALSE(in_place());
  }
  CHECK(in_place());
}

TEST_CASE("observers are told of calls while they live, on their thread, in any order of dying") {
  Passes module;
  auto first = std::make_unique<Counting>(), second = std::make_unique<Counting>();
  auto third = std::make_unique<Counting>();
  module(ones({1}));
  second.reset();
  module(ones({1}));
  CHECK(first->calls == 2);
  CHECK(third->calls == 2);
  third.reset();
  module(ones({1}));
  CHECK(first->calls == 3);
  first.reset();
  module(ones({1}));
}

TEST_CASE("activations: mean, variance, percentiles, and values that aren't finite") {
  Sequential net{Passes()};
  Probe probe(net, {.percentiles = {0, 10, 50, 100}});
  Tensor x({2, 50});
  for (int64_t i = 0; i < 100; ++i)
    x.data()[i] = static_cast<real>((i * 37) % 100 + 1);  // 1 ... 100, shuffled
  const auto observe = [&](const Tensor& t) {
    Tape tape;
    net(t);
    return probe["0"].output;
  };
  const ActivationStats stats = observe(x);
  CHECK(stats.count == 100);
  CHECK(stats.mean == doctest::Approx(50.5));
  CHECK(stats.variance == doctest::Approx((100.0 * 100 - 1) / 12));
  CHECK(stats.percentiles == std::vector<double>{1, 10, 50, 100});
  x(0, 0) = real(NAN), x(1, 49) = real(INFINITY);
  CHECK(observe(x).not_finite == 2);
  CHECK(std::isfinite(observe(x).mean));
  CHECK(observe(full({3}, real(NAN))).percentiles.empty());
}

TEST_CASE("evaluation in between isn't observed") {
  Sequential net{Passes()};
  Probe probe(net);
  {
    Tape tape;
    net(full({2}, 3));
    predict(net, full({2}, 7));
  }
  net(full({2}, 7));
  CHECK(probe["0"].output.mean == 3);
}

TEST_CASE("dead units of a ReLU: 0 for every sample and position") {
  Sequential net{ReLU()};
  Probe probe(net);
  Tape tape;
  net(tensor({{-1, 2, -3, 0}, {1, -2, -3, 0}}));
  CHECK(*probe["0"].dead_units == 0.5);
  Tensor image = full({2, 4, 3, 3}, -1);
  image(1, 2, 0, 1) = 1;
  net(image);
  CHECK(*probe["0"].dead_units == 0.75);
}

TEST_CASE("gradients, weights, effective learning rate and the angle moved") {
  Sequential net{Linear(2, 1)};
  auto& layer = dynamic_cast<Linear&>(net[0]);
  layer.weight.assign(tensor({{3, 4}}));
  Probe probe(net);
  {
    Tape tape;
    tape.backward(sum(net(tensor({{2, 1}}))));
  }
  probe.step(0.5);
  const LayerProbe& found = probe["0"];
  CHECK(*found.gradient_norm == doctest::Approx(std::sqrt(2 * 2 + 1 * 1 + 1)));  // the bias's is 1
  CHECK(*found.weight_norm == doctest::Approx(5));
  CHECK(*found.effective_lr == doctest::Approx(0.5 / 25));
  CHECK_FALSE(found.angle.has_value());
  layer.weight.assign(tensor({{-8, 6}}));  // a right angle
  zero_grad(net);
  probe.step(0.5);
  CHECK(*found.angle == doctest::Approx(M_PI / 2));
  CHECK_FALSE(found.gradient_norm.has_value());
  layer.weight.assign(tensor({{-4, 3}}));  // shorter, not turned
  probe.step(0.5);
  CHECK(*found.angle < 1e-6);
}

TEST_CASE("batch norm: gamma/sigma, and the drift of its statistics") {
  Sequential net{BatchNorm1d(2, {.eps = real(1e-12)})};
  auto& norm = dynamic_cast<BatchNorm1d&>(net[0]);
  norm.weight.assign(tensor({3, -1}));
  norm.running_var.assign(tensor({4, 1}));
  Probe probe(net);
  probe.step(0.1);
  const LayerProbe& found = probe["0"];
  CHECK(found.gamma_over_sigma->least == doctest::Approx(1));
  CHECK(found.gamma_over_sigma->mean == doctest::Approx(1.25));
  CHECK(found.gamma_over_sigma->largest == doctest::Approx(1.5));
  CHECK_FALSE(found.mean_drift.has_value());
  CHECK_FALSE(found.weight_norm.has_value());
  norm.running_mean.assign(tensor({2, 0}));  // 1 and 0 standard deviations
  norm.running_var.assign(tensor({8, 1}));   // by 100 % and 0 %
  probe.step(0.1);
  CHECK(*found.mean_drift == doctest::Approx(0.5));  // the median of two is their mean
  CHECK(*found.variance_drift == doctest::Approx(0.5));
  probe.step(0.1);
  CHECK(*found.mean_drift == 0);
}

TEST_CASE("histogram, and statistics of some of the values") {
  Sequential net{Passes()};
  Tensor x({100, 100});
  for (int64_t i = 0; i < x.count(); ++i) x.data()[i] = static_cast<real>(i % 100);  // a row is 0 ... 99
  const auto observe = [&](const ProbeOptions& options) {
    Probe probe(net, options);
    Tape tape;
    net(x);
    return probe["0"].output;
  };
  const ActivationStats all = observe({.percentiles = {10, 50, 90}, .bins = 4});
  CHECK(all.percentiles == std::vector<double>{9, 49, 89});
  CHECK(all.histogram == std::vector<int64_t>{2000, 2000, 2000, 2100});  // 9 ... 28, 29 ... 48, ...
  // Every hundredth value would be from one column.
  const ActivationStats some = observe({.percentiles = {0, 50, 100}, .most_values = 100});
  CHECK(some.count == 100);
  CHECK(some.mean == doctest::Approx(49.5).epsilon(0.15));
  CHECK(some.variance == doctest::Approx(9999.0 / 12).epsilon(0.25));
  CHECK(observe({.bins = 3, .most_values = 20'000}).count == 10'000);
}

TEST_CASE("half-active units of a ReLU, gradients of the weight, and drift of inputs") {
  Sequential net{ReLU(), Linear(4, 1)};
  auto& layer = dynamic_cast<Linear&>(net[1]);
  layer.weight.assign(tensor({{1, 1, 1, 1}}));
  Probe probe(net, {.percentiles = {0, 100}, .condition = true});
  const auto pass = [&](const Tensor& x) {
    Tape tape;
    tape.backward(sum(net(x)));
    probe.step(0.1);
  };
  pass(tensor({{1, 1, -1, -1}, {2, 1, 3, -1}, {1, -1, -1, -1}, {2, -1, -1, -1}}));  // active: 4, 2, 1, 0 of 4
  CHECK(*probe["0"].half_active_units == 0.5);
  CHECK(*probe["0"].dead_units == 0.25);
  CHECK(probe["1"].gradient.percentiles == std::vector<double>{0, 6});  // sums of the columns: 6, 2, 3, 0
  CHECK(probe["1"].input.mean == doctest::Approx(11.0 / 16));
  // Columns 1 2 1 2, 1 1 0 0, 0 3 0 0 and 0 0 0 0 vary over the samples; that their means differ doesn't
  // count.
  CHECK(*probe["1"].input_spread == doctest::Approx((0.5 + 0.5 + std::sqrt(27.0 / 16) + 0) / 4));
  CHECK_FALSE(probe["1"].input_mean_drift.has_value());
  // The first column goes from mean 1.5 and variance 0.25 to 3 and 1, the second from 0.5 and 0.25 to 1 and
  // 1, the third stays, and the last was constant, which has no part in the median.
  pass(tensor({{2, 2, -1, 1}, {4, 2, 3, -1}, {2, -1, -1, 1}, {4, -1, -1, -1}}));
  CHECK(*probe["1"].input_mean_drift == doctest::Approx(1));
  CHECK(*probe["1"].input_variance_drift == doctest::Approx(3));
}

TEST_CASE("a paused observer sees nothing, and layers fuse again") {
  Passes module;
  Counting first, second;
  first.pause();
  module(ones({1}));
  first.resume();
  first.resume();
  module(ones({1}));
  CHECK(first.calls == 1);
  CHECK(second.calls == 2);
}

TEST_CASE("the condition number of a layer's input covariance") {
  manual_seed(2);
  const auto condition = [](Sequential net, const Tensor& x) {
    Probe probe(net, {.condition = true});
    Tape tape;
    net(x);
    return std::pair(*probe["0"].condition, probe["0"].input_rank);
  };
  // Columns a and 10 a' of variances 1 and 100, uncorrelated by construction.
  const Tensor x = tensor({{1, 10}, {1, -10}, {-1, 10}, {-1, -10}});
  CHECK(condition(Sequential(Linear(2, 3)), x).first == doctest::Approx(100).epsilon(tolerance));
  const Tensor images = reshape(transpose(x), {1, 2, 2, 2});
  CHECK(condition(Sequential(Conv2d(2, 3, 1)), images).first == doctest::Approx(100).epsilon(tolerance));
  // A constant column has no variance, and is left out.
  const auto [value, rank] = condition(Sequential(Linear(3, 1)), concat({x, full({4, 1}, 7)}, 1));
  CHECK(value == doctest::Approx(100).epsilon(tolerance));
  CHECK(rank == 2);
  // Correlated: [[1, r], [r, 1]] has eigenvalues 1 + r and 1 - r.
  const Tensor y =
      tensor({{1, 1}, {-1, -1}, {1, 1}, {-1, -1}, {1, 1}, {-1, -1}, {1, -1}, {-1, 1}});  // r = 1/2
  CHECK(condition(Sequential(Linear(2, 1)), y).first == doctest::Approx(3).epsilon(tolerance));
}

TEST_CASE("the condition number of the correlation is that of the covariance behind a batch norm") {
  manual_seed(4);
  const Tensor x = randn({64, 3}) * tensor({{1, 10, 100}}) + randn({64, 1});
  Sequential net(BatchNorm1d(3, {.eps = real(1e-12)}), Linear(3, 2));
  Probe probe(net, {.condition = true});
  Tape tape;
  net(x);
  CHECK(*probe["0"].condition > 1000);
  CHECK(*probe["0"].correlation_condition == doctest::Approx(*probe["1"].condition).epsilon(1e-3));
  CHECK(*probe["1"].condition < 100);
  Probe two(net, {.condition = true, .most_channels = 2});  // channels 0 and 1
  net(x);
  CHECK(*two["0"].condition < *probe["0"].condition);
}

TEST_CASE("the channels of a wrapped layer are where that layer's are") {
  // Samples of two positions: columns of variances 1 and 100.
  const Tensor x = reshape(tensor({{1, 10}, {1, -10}, {-1, 10}, {-1, -10}}), {2, 2, 2});
  Sequential net{WeightNorm(Linear(2, 3))};
  Probe probe(net, {.condition = true});
  Tape tape;
  net(x);
  CHECK(*probe["0"].condition == doctest::Approx(100).epsilon(tolerance));
}

TEST_CASE("layers that are fused are measured as if they weren't") {
  manual_seed(3);
  Sequential net(Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 3), ReLU());
  Probe probe(net);
  const Tensor x = randn({5, 1, 6, 6});
  Tape tape;
  net(x);
  Tensor y = x;
  const FrozenStatisticsScope again;
  for (size_t i = 0; i < net.size(); ++i) {
    y = net[i](y);
    CAPTURE(i);
    const ActivationStats& stats = probe[std::to_string(i)].output;
    CHECK(stats.count == y.count());
    CHECK(stats.mean == doctest::Approx(static_cast<double>(mean(y).item())).epsilon(1e-4));
  }
  CHECK(probe["2"].dead_units.has_value());
  CHECK(probe["6"].dead_units.has_value());
}

TEST_CASE("a model of one layer is probed itself") {
  Linear layer(2, 1);
  Probe probe(layer);
  CHECK(probe[""].layer == "Linear 2 -> 1");
}

TEST_CASE("an unknown layer's name is an error that lists the known ones") {
  Sequential net(Linear(2, 2), ReLU());
  const Probe probe(net);
  std::string text;
  try {
    probe["2"];
  } catch (const ValueError& error) {
    text = error.what();
  }
  CHECK(text == "probe: there is no layer '2'; there are 0, 1");
}
