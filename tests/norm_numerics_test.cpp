// What the norms make of inputs that are hard on precision, against the formulas in extended precision.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/layers/weight_norm.h>
#include "reference/norm.h"

using namespace ballast;

namespace {

// A norm without affine parameters over x (N, C, P), its definition, and shapes with sets of 64 and of
// 100,352 values.
struct Norm {
  std::string name;
  std::function<Tensor(Tensor)> apply;
  std::function<reference::NormOutput(const reference::NormInput&)> expected;
  Shape small, large;
};

std::vector<Norm> norms() {
  using reference::NormInput;
  const auto group = [](const NormInput& in) { return reference::group_norm(in, 1); };
  const auto layer = [](const NormInput& in) { return reference::layer_norm(in, 2); };
  const auto rms = [](const NormInput& in) { return reference::rms_norm(in, 2); };
  return {
      {"batch_norm vectors",
       [](Tensor x) { return batch_norm(std::move(x), {}, {}); },
       reference::batch_norm,
       {64, 3, 1},
       {100352, 3, 1}},
      {"batch_norm images",
       [](Tensor x) { return batch_norm(std::move(x), {}, {}); },
       reference::batch_norm,
       {4, 3, 16},
       {128, 3, 784}},
      {"layer_norm",
       [](Tensor x) { return layer_norm(std::move(x), 2, {}, {}); },
       layer,
       {3, 4, 16},
       {3, 128, 784}},
      {"group_norm",
       [](Tensor x) { return group_norm(std::move(x), 1, {}, {}); },
       group,
       {3, 4, 16},
       {3, 128, 784}},
      {"instance_norm",
       [](Tensor x) { return instance_norm(std::move(x), {}, {}); },
       reference::instance_norm,
       {2, 2, 64},
       {2, 2, 100352}},
      {"rms_norm",
       [](Tensor x) { return rms_norm(std::move(x), 2, {}, real(1e-5)); },
       rms,
       {3, 4, 16},
       {3, 128, 784}},
  };
}

struct Errors {
  double y, dx;  // of dx: in units of max |dy| / sigma
};

Errors errors(const Norm& norm, Tensor x) {
  const Tensor dy = randn(x.shape());
  Tape tape;
  tape.watch(x);
  const Tensor y = norm.apply(x);
  tape.backward(y, dy);
  const Tensor dx = tape.grad(x);
  REQUIRE(all_finite(y));
  REQUIRE(all_finite(dx));

  const reference::NormOutput expected = norm.expected({x, dy, {}, {}, 1e-5L});
  Errors worst{};
  for (size_t i = 0; i < expected.y.size(); ++i) {
    worst.y = std::max(worst.y, static_cast<double>(std::abs(y.data()[i] - expected.y[i])));
    worst.dx =
        std::max(worst.dx, static_cast<double>(std::abs(dx.data()[i] - expected.dx[i]) * expected.sigma[i]));
  }
  return worst;
}

constexpr double epsilon = std::numeric_limits<real>::epsilon();

Tensor with_first(Tensor x, real first) {
  x.data()[0] = first;
  return x;
}

}  // namespace

TEST_CASE("numerics: a constant input gives exactly the bias") {
  for (const double value : {1.0, 1e4, 1e8, 1e18, 0.1, -3.7e-5, 0.0}) {
    for (const int64_t p : {1, 7, 784}) {
      const Shape shape{6, 4, p};
      const Tensor x = full(shape, static_cast<real>(value)), w = tensor({2, -1, 0.5, 3});
      const Tensor bias = tensor({real(0.3), -7, 0, real(1e-3)});
      const auto is_bias = [&](const Tensor& y) {
        bool same = true;
        for (int64_t i = 0; i < y.count(); ++i) same &= y.data()[i] == bias.data()[i / p % 4];
        return same;
      };
      CAPTURE(value);
      CAPTURE(p);
      CHECK(is_bias(batch_norm(x, w, bias)));
      CHECK(is_bias(group_norm(x, 1, w, bias)));
      CHECK(is_bias(group_norm(x, 2, w, bias)));
      if (p > 1) CHECK(is_bias(instance_norm(x, w, bias)));
      Tensor w_all(Shape{4, p}), bias_all(Shape{4, p});
      for (int64_t i = 0; i < w_all.count(); ++i)
        w_all.data()[i] = w.data()[i / p], bias_all.data()[i] = bias.data()[i / p];
      CHECK(is_bias(layer_norm(x, 2, w_all, bias_all)));
      Buffer mean(full({4}, static_cast<real>(value))), var(zeros({4}));
      CHECK(is_bias(batch_norm(x, w, bias, {.mean = &mean, .var = &var})));  // evaluated
      // One that isn't centred gives the weight's size instead.
      if (std::abs(value) < 1e-3) continue;
      const Tensor y = rms_norm(x, 2, w_all);
      for (int64_t i = 0; i < y.count(); ++i)
        CHECK(std::abs(y.data()[i]) == doctest::Approx(std::abs(w.data()[i / p % 4])).epsilon(1e-4));
    }
  }
}

TEST_CASE("numerics: large means and outliers") {
  manual_seed(1);
  struct Input {
    std::string name;
    std::function<Tensor(const Shape&)> make;
  };
  const std::vector<Input> inputs{
      {"N(0, 1)", [](const Shape& s) { return randn(s); }},
      {"N(1e4, 1)", [](const Shape& s) { return randn(s, real(1e4)); }},
      {"N(1e5, 1)", [](const Shape& s) { return randn(s, real(1e5)); }},
      {"N(-1e5, 1), first 0", [](const Shape& s) { return with_first(randn(s, real(-1e5)), 0); }},
      {"N(0, 1e-3), first 1e4",
       [](const Shape& s) { return with_first(randn(s, 0, real(1e-3)), real(1e4)); }},
      {"N(0, 1e18)", [](const Shape& s) { return randn(s, 0, real(1e18)); }},
  };
  fmt::print("{:<22} {:<20} {:>8} {:>10} {:>10}\n", "largest error", "input", "values", "y", "dx sigma");
  for (const Norm& norm : norms()) {
    for (const Input& input : inputs) {
      for (const Shape& shape : {norm.small, norm.large}) {
        const Errors e = errors(norm, input.make(shape));
        const int64_t values = shape == norm.small ? 64 : 100352;
        fmt::print("{:<22} {:<20} {:>8} {:>10.1e} {:>10.1e}\n", norm.name, input.name, values, e.y, e.dx);
        CAPTURE(norm.name);
        CAPTURE(input.name);
        CAPTURE(values);
        // An outlier's y is up to sqrt(100352) = 317; else it is 5 or so.
        const double most = input.name.find("first") != std::string::npos ? 320 : 6;
        // Sums are in double: one of `real`s of that kind carries the rounding of a mean of 1e5.
        const double rounding = std::is_same_v<real, double> ? 2e-11 : 0;
        CHECK(e.y <= 4 * epsilon * most + rounding);
        CHECK(e.dx <= 8 * epsilon * most + rounding);
      }
    }
  }
}

TEST_CASE("numerics: no NaN from denormals, zero variance, or sizes that overflow when squared") {
  const real denormal = std::numeric_limits<real>::min() / 4;
  const real tiny = std::numeric_limits<real>::min() * 4, huge = real(1e18);
  manual_seed(2);
  for (const Norm& norm : norms()) {
    CAPTURE(norm.name);
    for (const real size : {denormal, tiny, real(0), real(1), huge}) {
      CAPTURE(size);
      for (const Tensor& x :
           {full(norm.small, size), randn(norm.small, 0, size), randn(norm.small, size, 0)}) {
        Tape tape;
        Tensor input = x;
        tape.watch(input);
        const Tensor y = norm.apply(input);
        tape.backward(y, randn(y.shape()));
        CHECK(all_finite(y));
        CHECK(all_finite(tape.grad(input)));
      }
    }
  }
}

TEST_CASE("numerics: running statistics and evaluation at large means") {
  manual_seed(3);
  fmt::print("{:<22} {:>12} {:>12} {:>12}\n", "running, N(mean, 1)", "mean", "var", "y evaluated");
  for (const double mean : {1.0, 1e4, 1e5}) {
    for (const std::optional<double> momentum : {std::optional(0.1), std::optional<double>()}) {
      BatchNorm1d norm(1, {.momentum = momentum});
      const Tensor x = randn({4096, 1}, static_cast<real>(mean));
      long double sum = 0, squares = 0;
      for (real v : x.values()) sum += v;
      for (real v : x.values()) squares += (v - sum / 4096) * (v - sum / 4096);
      const auto train = [&] {
        Tape tape;
        norm(x);
      };
      for (int i = 0; i < 1000; ++i) train();
      const double mean_error = std::abs(static_cast<double>(norm.running_mean.data()[0] - sum / 4096));
      const double var_error = std::abs(static_cast<double>(norm.running_var.data()[0] - squares / 4095));
      const double rstd = 1 / std::sqrt(double{norm.running_var.data()[0]} + 1e-5);
      const Tensor y = norm(x);
      double y_error = 0;
      for (int64_t i = 0; i < 4096; ++i) {
        const double expected = (double{x.data()[i]} - norm.running_mean.data()[0]) * rstd;
        y_error = std::max(y_error, std::abs(y.data()[i] - expected));
      }
      fmt::print("{:<22} {:>12.1e} {:>12.1e} {:>12.1e}\n",
                 fmt::format("{:g}, {}", mean, momentum ? "momentum 0.1" : "cumulative"), mean_error,
                 var_error, y_error);
      // A moving average of `real`s can come no nearer than half a unit in the last place over momentum.
      CHECK(mean_error <= 12 * epsilon * mean + 1e-13);
      CHECK(var_error <= 6 * epsilon + 1e-12);
      CHECK(y_error <= 4 * epsilon * 6);
    }
  }
}

TEST_CASE("numerics: weight and spectral normalization of rows of any size") {
  const real denormal = std::numeric_limits<real>::min() / 4;
  const real tiny = std::max(std::numeric_limits<real>::min() * 64, static_cast<real>(1e-140L));
  manual_seed(4);
  for (const real size : {denormal, tiny, real(0), real(1), real(1e18)}) {
    CAPTURE(size);
    const Tensor x = randn({5, 4});
    const auto check_finite = [&](auto layer) {
      CAPTURE(layer.describe());
      Tape tape;
      const Tensor y = layer(x);
      tape.backward(y, randn(y.shape()));
      CHECK(all_finite(y));
      for_each_parameter(layer, [](const std::string& path, Parameter& p) {
        CAPTURE(path);
        CHECK(all_finite(p.grad()));
      });
      return y;
    };
    Linear linear(4, 3, {.bias = false});
    linear.weight.assign(randn({3, 4}, 0, size));
    check_finite(SpectralNorm(linear));
    WeightNorm normed(linear);
    normed.weight_g.assign(ones({3, 1}));
    const Tensor lengths = row_lengths(weight_norm(normed.layer.weight, normed.weight_g));
    const bool vanishes = size <= denormal;
    for (real length : lengths.values()) CHECK(length == doctest::Approx(vanishes ? 0 : 1).epsilon(1e-5));
    check_finite(std::move(normed));
  }
}

TEST_CASE("numerics: affine gradients over many rows") {
  const int64_t rows = 1 << 18;
  Tensor x = rand({rows, 4});
  LayerNorm norm(4);
  Tape tape;
  tape.backward(norm(x), full({rows, 4}, real(0.1)));
  const double expected = static_cast<double>(rows) * double{real(0.1)};
  for (int64_t i = 0; i < 4; ++i) CHECK(norm.bias.grad()(i) == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("numerics: tensors without positions or samples") {
  Tape tape;
  GroupNorm norm(2, 64);
  tape.backward(norm(zeros({2, 64, 0})), zeros({2, 64, 0}));
  for (int64_t i = 0; i < 64; ++i) CHECK((norm.weight.grad()(i) == 0 && norm.bias.grad()(i) == 0));
  InstanceNorm2d instance(3, {.affine = true, .track_running_stats = true});
  {
    Tape another;
    instance(zeros({0, 3, 4, 4}));
  }
  for_each_buffer(instance, [](const std::string& name, Buffer& b) {
    for (int64_t c = 0; c < 3; ++c) CHECK(b.value()(c) == (name == "running_var" ? 1 : 0));
  });
}
