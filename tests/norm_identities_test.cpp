// What must hold between the norms, and for each of them, whatever the input.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/random.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/keras.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/layers/weight_norm.h>

#include "same_bits.h"

using namespace ballast;

namespace {

constexpr double epsilon = std::numeric_limits<real>::epsilon();
constexpr real tiny_eps = real(1e-30);  // where an identity holds for eps = 0
using Function = std::function<Tensor(Tensor)>;

double largest(const Tensor& x) {
  double most = 0;
  for (real v : x.values()) most = std::max(most, std::abs(double{v}));
  return most;
}

double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return largest(a - b);
}

Tensor gradient(const Function& f, Tensor x, const Tensor& dy) {
  Tape tape;
  tape.watch(x);
  tape.backward(f(x), dy);
  return tape.grad(x);
}

// f and g are one function, to rounding: same values, same gradients.
void check_same(const Function& f, const Function& g, const Tensor& x) {
  const Tensor dy = randn(x.shape());
  CHECK(distance(f(x), g(x)) <= 16 * epsilon);
  CHECK(distance(gradient(f, x, dy), gradient(g, x, dy)) <= 64 * epsilon);
}

// (C) as the affine parameters of a layer norm over `last`, (C, ...).
Tensor spread(const Tensor& per_channel, const Shape& last) {
  Tensor all(last);
  for (int64_t i = 0; i < all.count(); ++i) all.data()[i] = per_channel.data()[i / (last.count() / last[0])];
  return all;
}

Tensor batch_norm_of(Tensor x) { return batch_norm(std::move(x), {}, {}); }

}  // namespace

TEST_CASE(
    "identity: one group is a layer, one channel per group is an instance, one image is its own batch") {
  manual_seed(1);
  for (const Shape& shape : {Shape{3, 4, 5, 7}, {1, 2, 1, 3}, {2, 6, 16}, {5, 8, 3, 3}}) {
    const Tensor x = randn(shape, real(0.5), 2), w = randn({shape[1]}), b = randn({shape[1]});
    const int axes = shape.rank() - 1;
    const Shape last(shape.begin() + 1, axes);
    const Tensor w_all = spread(w, last), b_all = spread(b, last);
    check_same([&](Tensor t) { return group_norm(std::move(t), 1, w, b); },
               [&](Tensor t) { return layer_norm(std::move(t), axes, w_all, b_all); }, x);
    check_same([&](Tensor t) { return group_norm(std::move(t), shape[1], w, b); },
               [&](Tensor t) { return instance_norm(std::move(t), w, b); }, x);
    const Tensor one = slice(x, 0, 0, 1);
    check_same([&](Tensor t) { return batch_norm(std::move(t), w, b); },
               [&](Tensor t) { return instance_norm(std::move(t), w, b); }, one);
  }
}

TEST_CASE("identity: RMS normalization of centred rows is layer normalization") {
  manual_seed(2);
  const Tensor x = randn({6, 33}), w = randn({33});
  const Tensor centred = x - mean(x, {1}, true);
  CHECK(distance(rms_norm(centred, 1, w, real(1e-5)), layer_norm(centred, 1, w, {}, real(1e-5))) <=
        32 * epsilon);
}

TEST_CASE("identity: weight = sigma and bias = mu give the input back") {
  manual_seed(3);
  const Tensor x = randn({16, 3, 5, 5}, 3, 2);
  BatchNorm2d norm(3);
  BatchNorm2d probe(3, {.momentum = 1});
  {
    Tape tape;
    probe(x);
  }
  const double n = 16 * 25;
  for (int64_t c = 0; c < 3; ++c) {
    const double var = double{probe.running_var.data()[c]} * (n - 1) / n;  // stored unbiased
    norm.weight.data()[c] = static_cast<real>(std::sqrt(var + double{norm.options.eps}));
    norm.bias.data()[c] = probe.running_mean.data()[c];
  }
  Tape tape;
  CHECK(distance(norm(x), x) <= 16 * epsilon * largest(x));
}

TEST_CASE("identity: scaling the weights in front leaves the output and divides their gradient") {
  manual_seed(4);
  const Tensor x = randn({32, 6}), dy = randn({32, 5});
  const Tensor weight = randn({5, 6});
  const Function behind_linear = [&](Tensor w) {
    return batch_norm(linear(x, std::move(w)), {}, {}, {}, /*eps=*/tiny_eps);
  };
  const Tensor y = behind_linear(weight), dw = gradient(behind_linear, weight, dy);
  for (const real a : {real(0.01), real(3), real(1000)}) {
    const Tensor scaled = weight * a;
    CHECK(distance(behind_linear(scaled), y) <= 64 * epsilon);
    CHECK(distance(gradient(behind_linear, scaled, dy) * a, dw) <= 256 * epsilon * largest(dw));
  }
}

TEST_CASE("identity: a bias before a batch norm has no gradient") {
  manual_seed(5);
  Linear layer(6, 5);
  BatchNorm1d norm(5);
  Tape tape;
  const Tensor y = norm(layer(randn({32, 6})));
  tape.backward(sum(y * randn(y.shape())));
  CHECK(largest(layer.bias.grad()) <= 32 * 8 * epsilon);
  CHECK(largest(layer.weight.grad()) > 0.1);
}

TEST_CASE("identity: the gradient sums to zero over what is normalized together") {
  manual_seed(6);
  const Tensor x = randn({4, 6, 5, 3}, 1, 3), dy = randn(x.shape());
  const Tensor w = randn({6}), b = randn({6}), w_all = randn({6, 5, 3});
  const auto check = [](const Tensor& dx, std::initializer_list<int> axes) {
    CHECK(largest(sum(dx, axes)) <= 256 * epsilon);
    CHECK(largest(dx) > 0.1);
  };
  check(gradient([&](Tensor t) { return batch_norm(std::move(t), w, b); }, x, dy), {0, 2, 3});
  check(gradient([&](Tensor t) { return layer_norm(std::move(t), 3, w_all, {}); }, x, dy), {1, 2, 3});
  check(gradient([&](Tensor t) { return group_norm(std::move(t), 1, w, b); }, x, dy), {1, 2, 3});
  check(gradient([&](Tensor t) { return instance_norm(std::move(t), w, b); }, x, dy), {2, 3});
  const Tensor dx = gradient([&](Tensor t) { return group_norm(std::move(t), 2, w, b); }, x, dy);
  check(reshape(dx, {4, 2, 45}), {2});
  // RMS normalization has no mean to take out: its gradient is orthogonal to x instead.
  const Function rms = [&](Tensor t) { return rms_norm(std::move(t), 3, w_all, tiny_eps); };
  CHECK(largest(sum(gradient(rms, x, dy) * x, {1, 2, 3})) <= 2048 * epsilon);
}

TEST_CASE("identity: a sample's output doesn't depend on the batch, but for batch norm in training") {
  manual_seed(7);
  for (const Shape& one : {Shape{1, 6, 5, 3}, {1, 4, 1, 2}, {1, 8, 28, 28}, {1, 6, 37}, {1, 130}}) {
    CAPTURE(one.str());
    const Tensor sample = randn(one);
    const Tensor w = randn({one[1]}), b = randn({one[1]});
    const Tensor w_all = spread(w, Shape(one.begin() + 1, one.rank() - 1)), b_all = spread(b, w_all.shape());
    Buffer mean(randn({one[1]})), var(rand({one[1]}, real(0.5), 2));
    const RunningStatistics running{.mean = &mean, .var = &var};
    std::vector<std::pair<const char*, Function>> norms{
        {"layer", [&](Tensor t) { return layer_norm(std::move(t), one.rank() - 1, w_all, b_all); }},
        {"layer, last axis", [&](Tensor t) { return layer_norm(std::move(t), 1, {}, {}); }},
        {"rms", [&](Tensor t) { return rms_norm(std::move(t), one.rank() - 1, w_all); }},
        {"group", [&](Tensor t) { return group_norm(std::move(t), 2, w, b); }},
        {"batch, evaluated", [&](Tensor t) { return batch_norm(std::move(t), w, b, running); }},
        {"instance, evaluated", [&](Tensor t) { return instance_norm(std::move(t), w, b, running); }},
    };
    if (one.rank() > 2)
      norms.push_back({"instance", [&](Tensor t) { return instance_norm(std::move(t), w, b); }});
    for (const auto& named : norms) {
      const char* name = named.first;
      const Function& norm = named.second;
      CAPTURE(name);
      const Tensor alone = norm(sample);
      for (const int64_t others : {1, 2, 17, 300}) {
        Shape shape = one.with(0, others);
        const Tensor before = randn(shape), behind = randn(shape, 100, 50);
        const Tensor y = norm(concat({before, sample, behind}, 0));
        CHECK(same_bits(slice(y, 0, others, others + 1), alone));
      }
    }
    if (one.rank() > 2) {
      const Tensor both = batch_norm_of(concat({sample, randn(one)}, 0));
      CHECK_FALSE(same_bits(slice(both, 0, 0, 1), batch_norm_of(sample)));
    }
  }
}

namespace {

// The largest singular value of a (rows, columns), by Jacobi's rotations of its columns (Hestenes 1958).
double largest_singular_value(const Tensor& a) {
  const int64_t rows = a.shape()[0], columns = a.shape()[1];
  std::vector<double> m(a.values().begin(), a.values().end());
  const auto dot = [&](int64_t p, int64_t q) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r)
      sum += m[static_cast<size_t>(r * columns + p)] * m[static_cast<size_t>(r * columns + q)];
    return sum;
  };
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (int64_t p = 0; p < columns; ++p) {
      for (int64_t q = p + 1; q < columns; ++q) {
        const double off = dot(p, q);
        if (off == 0) continue;
        const double zeta = (dot(q, q) - dot(p, p)) / (2 * off);
        const double t = std::copysign(1 / (std::abs(zeta) + std::sqrt(1 + zeta * zeta)), zeta);
        const double c = 1 / std::sqrt(1 + t * t);
        for (int64_t r = 0; r < rows; ++r) {
          double &x = m[static_cast<size_t>(r * columns + p)], &y = m[static_cast<size_t>(r * columns + q)];
          const double rotated = c * (x - t * y);
          y = c * (t * x + y);
          x = rotated;
        }
      }
    }
  }
  double most = 0;
  for (int64_t p = 0; p < columns; ++p) most = std::max(most, std::sqrt(dot(p, p)));
  return most;
}

template <class Layer>
Tensor effective_weight(SpectralNorm<Layer>& norm) {
  const Tensor w = spectral_norm(norm.layer.weight, norm.weight_u, norm.weight_v);
  return reshape(w, {w.shape()[0], -1}).detach();
}

template <class Layer>
void train_50_times(SpectralNorm<Layer>& norm, const Shape& input) {
  for (int step = 0; step < 50; ++step) {
    Tape tape;
    norm(randn(input));
  }
}

}  // namespace

TEST_CASE("spectral norm: within 2% of a singular value decomposition after 50 forward passes") {
  manual_seed(8);
  CHECK(largest_singular_value(tensor({{3, 0}, {4, 5}})) == doctest::Approx(std::sqrt(45)));
  for (const int64_t out : {1, 24, 64}) {
    SpectralNorm norm(Linear(48, out), {.warm_up = 1});
    normal(norm.layer.weight, 0, 1);  // no gap between the largest singular values
    train_50_times(norm, {2, 48});
    CHECK(largest_singular_value(effective_weight(norm)) == doctest::Approx(1).epsilon(0.02));
  }
  SpectralNorm norm(Conv2d(6, 16, 3), {.warm_up = 1});
  train_50_times(norm, {1, 6, 4, 4});
  CHECK(largest_singular_value(effective_weight(norm)) == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("spectral norm: warms up when made, and is still while evaluating or frozen") {
  manual_seed(9);
  SpectralNorm norm(Linear(20, 10));
  CHECK(largest_singular_value(effective_weight(norm)) == doctest::Approx(1).epsilon(0.1));
  const Tensor u = norm.weight_u.value().clone(), v = norm.weight_v.value().clone(), x = randn({3, 20});
  const auto moved = [&] { return !same_bits(norm.weight_u, u) || !same_bits(norm.weight_v, v); };
  norm(x);
  {
    const StatisticsScope scope;
    norm(x);
  }
  {
    Tape tape(Mode::eval);
    norm(x);
  }
  norm.frozen.statistics = true;
  {
    Tape tape;
    norm(x);
  }
  CHECK_FALSE(moved());
  norm.frozen.statistics = false;
  Tape tape;
  norm(x);
  CHECK(moved());
}

TEST_CASE("weight norm: starts as the layer was; v's gradient is orthogonal to v") {
  manual_seed(10);
  const auto check = [](auto layer, const Shape& shape) {
    const Tensor x = randn(shape);
    WeightNorm norm(layer);
    CHECK(distance(norm(x), layer(x)) <= 32 * epsilon);
    normal(norm.weight_g, 1, 1);
    Tape tape;
    const Tensor y = norm(x);
    tape.backward(sum(y * randn(y.shape())));
    const Tensor& v = norm.layer.weight;
    const Tensor dv = norm.layer.weight.grad();
    const int64_t row = v.count() / v.shape()[0];
    for (int64_t o = 0; o < v.shape()[0]; ++o) {
      double along = 0, terms = 0;
      for (int64_t i = o * row; i < (o + 1) * row; ++i) {
        along += double{v.data()[i]} * dv.data()[i];
        terms += std::abs(double{v.data()[i]} * dv.data()[i]);
      }
      CHECK(terms > 0.01);
      CHECK(std::abs(along) <= 8 * epsilon * terms);
    }
  };
  check(Linear(12, 5), {7, 12});
  check(Conv2d(4, 6, 3, {.padding = 1, .groups = 2}), {3, 4, 6, 5});
}

TEST_CASE("weight norm: initialization from data gives outputs of mean 0 and variance 1") {
  manual_seed(11);
  const auto check = [](auto layer, const Tensor& x, std::initializer_list<int> all_but_channels) {
    WeightNorm norm(layer);
    norm.initialize_from(x);
    const Tensor y = norm(x);
    CHECK(largest(mean(y, all_but_channels)) <= 64 * epsilon);
    CHECK(largest(mean(y * y, all_but_channels) - 1) <= 0.01);  // 1 - 1/n of it: the unbiased one is 1
    CHECK(norm.weight_g.grad().empty());
  };
  check(Linear(9, 4), randn({200, 9}, 2, 3), {0});
  check(Linear(9, 4), randn({50, 4, 9}, 2, 3), {0, 1});
  check(Conv2d(3, 5, 3, {.padding = 1}), randn({8, 3, 6, 5}, -1, 2), {0, 2, 3});
  WeightNorm without(Linear(9, 4, {.bias = false}));
  const Tensor x = randn({200, 9}, 2, 3);
  without.initialize_from(x);
  const Tensor y = without(x), centred = y - mean(y, {0}, true);
  CHECK(largest(mean(centred * centred, {0}) - 1) <= 0.01);
}

TEST_CASE("weight and spectral norm wrap a layer under PyTorch's names") {
  const auto names = [](auto layer) {
    std::string all;
    for_each_parameter(layer, [&](const std::string& path, Parameter&) { all += path + " "; });
    for_each_buffer(layer, [&](const std::string& path, Buffer&) { all += path + " "; });
    return all;
  };
  CHECK(names(WeightNorm(Linear(3, 2))) == "weight_g weight_v bias ");
  CHECK(names(WeightNorm(Conv2d(3, 2, 1, {.bias = false}))) == "weight_g weight_v ");
  CHECK(names(SpectralNorm(Linear(3, 2))) == "weight_orig bias weight_u weight_v ");
  CHECK(WeightNorm(Conv2d(4, 6, 3, {.groups = 2})).weight_g.shape() == Shape{6, 1, 1, 1});
  CHECK_FALSE(WeightNorm(Linear(3, 2)).weight_g.decays());
  CHECK_THROWS_AS(SpectralNorm(Linear(3, 2), {.warm_up = 0}), ValueError);
}

TEST_CASE("dropout before a batch norm raises the variance it stores to 1 / (1 - p)") {
  manual_seed(12);
  for (const double p : {0.0, 0.1, 0.5, 0.8}) {
    Dropout dropout(p);
    BatchNorm1d norm(1, {.momentum = 1});
    Tape tape;
    norm(dropout(randn({400'000, 1})));
    CHECK(norm.running_var.data()[0] == doctest::Approx(1 / (1 - p)).epsilon(0.02));
  }
}

TEST_CASE("batch norm with Keras's conventions") {
  const BatchNormOptions options = keras_batch_norm();
  CHECK(double{options.eps} == doctest::Approx(1e-3));
  CHECK(*options.momentum == doctest::Approx(0.01));
  CHECK(*keras_batch_norm(0.9).momentum == doctest::Approx(0.1));
  CHECK_THROWS_AS(keras_running_var(ones({2}), 1), ValueError);

  // The same training by both definitions; the variance starts at 0, since a start of 1 is in neither.
  manual_seed(13);
  BatchNorm1d norm(2, options);
  norm.running_var.assign(zeros({2}));
  double moving_mean[2] = {0, 0}, moving_variance[2] = {0, 0};
  for (int step = 0; step < 5; ++step) {
    const Tensor x = randn({8, 2}, 1, 2);
    for (int64_t c = 0; c < 2; ++c) {
      double sum = 0, squares = 0;
      for (int64_t n = 0; n < 8; ++n) sum += x(n, c), squares += double{x(n, c)} * x(n, c);
      moving_mean[c] = 0.99 * moving_mean[c] + 0.01 * sum / 8;
      moving_variance[c] = 0.99 * moving_variance[c] + 0.01 * (squares / 8 - sum * sum / 64);
    }
    Tape tape;
    norm(x);
  }
  const Tensor biased = tensor({real(moving_variance[0]), real(moving_variance[1])});
  CHECK(distance(norm.running_mean, tensor({real(moving_mean[0]), real(moving_mean[1])})) <= 8 * epsilon);
  CHECK(distance(norm.running_var, keras_running_var(biased, 8)) <= 8 * epsilon);
}
