// The fast norms, forward and backward, against their definitions in tests/reference/norm.h.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/layers/functional/norm.h>
#include <ballast/layers/functional/weight_norm.h>
#include "reference/norm.h"

using namespace ballast;
using reference::NormInput;
using reference::NormOutput;
using reference::Values;

namespace {

// Whether each of `got` is as `expected` to within rounding, in units of the largest.
bool near(const Tensor& got, const Values& expected) {
  // Statistics are formed in double. With elements in double the subtraction of the mean cancels, in a set of
  // two elements that differ by a thousandth, three decimal digits.
  const double cancelled = sizeof(real) == sizeof(double) ? 1000 : 1;
  const double rounding = 64 * cancelled * std::numeric_limits<real>::epsilon();
  long double largest = 1;
  for (long double v : expected) largest = std::max(largest, std::abs(v));
  if (static_cast<size_t>(got.count()) != expected.size()) return false;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!(std::abs(got.data()[i] - expected[i]) <= rounding * largest)) return false;
  }
  return true;
}

using Norm = std::function<Tensor(Tensor x, Tensor weight, Tensor bias)>;

void check(const std::string& name, const Norm& norm, NormInput in, const NormOutput& expected, Mode mode) {
  CAPTURE(name);
  CAPTURE(in.x.shape().str());
  Tape tape(mode);
  tape.watch(in.x);
  const bool affine = !in.weight.empty(), biased = !in.bias.empty();
  if (affine) tape.watch(in.weight);
  if (biased) tape.watch(in.bias);
  const Tensor y = norm(in.x, in.weight, in.bias);
  tape.backward(y, in.dy);
  CHECK(near(y, expected.y));
  CHECK(near(tape.grad(in.x), expected.dx));
  if (affine) CHECK(near(tape.grad(in.weight), expected.dweight));
  if (biased) CHECK(near(tape.grad(in.bias), expected.dbias));
}

NormInput input(const Shape& shape, const Shape& parameters, bool affine, bool biased = true) {
  const Tensor none;
  return {randn(shape, real(0.5), 2), randn(shape), affine ? randn(parameters) : none,
          affine && biased ? randn(parameters) : none, static_cast<long double>(real(1e-5))};
}

}  // namespace

TEST_CASE("reference: batch, group and instance norm") {
  manual_seed(1);
  for (const Shape& shape : {Shape{2, 1},
                             {5, 3},
                             {40, 70},
                             {3, 4, 2},
                             {1, 2, 9},
                             {2, 6, 5, 7},
                             {3, 4, 1, 1},
                             {4, 8, 16, 16},
                             {1, 64, 12, 12}}) {
    for (const bool affine : {true, false}) {
      const int64_t channels = shape[1], positions = shape.count(2, shape.rank());
      const NormInput in = input(shape, {channels}, affine);
      const auto eps = static_cast<real>(in.eps);
      if (shape[0] * positions > 1) {
        check(
            "batch_norm", [=](Tensor x, Tensor w, Tensor b) { return batch_norm(x, w, b, {}, eps); }, in,
            reference::batch_norm(in), Mode::train);
      }
      for (int64_t groups = 1; groups <= channels; ++groups) {
        if (channels % groups || channels / groups * positions == 1) continue;
        check(
            "group_norm", [=](Tensor x, Tensor w, Tensor b) { return group_norm(x, groups, w, b, eps); }, in,
            reference::group_norm(in, static_cast<size_t>(groups)), Mode::train);
      }
      if (positions > 1) {
        check(
            "instance_norm", [=](Tensor x, Tensor w, Tensor b) { return instance_norm(x, w, b, {}, eps); },
            in, reference::instance_norm(in), Mode::train);
      }
      Buffer mean(randn({channels})), var(rand({channels}, real(0.5), 2));
      const RunningStatistics running{.mean = &mean, .var = &var};
      const Values known_mean(mean.data(), mean.data() + channels),
          known_var(var.data(), var.data() + channels);
      const NormOutput expected = reference::batch_norm_evaluated(in, known_mean, known_var);
      check(
          "batch_norm, evaluated",
          [&](Tensor x, Tensor w, Tensor b) { return batch_norm(x, w, b, running, eps); }, in, expected,
          Mode::eval);
      check(
          "instance_norm, evaluated",
          [&](Tensor x, Tensor w, Tensor b) { return instance_norm(x, w, b, running, eps); }, in, expected,
          Mode::eval);
    }
  }
}

TEST_CASE("reference: layer and RMS norm") {
  manual_seed(2);
  for (const Shape& shape :
       {Shape{2}, {1, 9}, {300, 5}, {40, 130}, {3, 4, 2}, {2, 3, 4, 5}, {2, 8, 16, 16}}) {
    for (int axes = 1; axes <= shape.rank(); ++axes) {
      const Shape last(shape.begin() + (shape.rank() - axes), axes);
      for (const bool affine : {true, false}) {
        const NormInput in = input(shape, last, affine);
        const auto eps = static_cast<real>(in.eps);
        check(
            "layer_norm", [=](Tensor x, Tensor w, Tensor b) { return layer_norm(x, axes, w, b, eps); }, in,
            reference::layer_norm(in, axes), Mode::train);
        const NormInput unbiased = input(shape, last, affine, false);
        check(
            "rms_norm", [=](Tensor x, Tensor w, const Tensor&) { return rms_norm(x, axes, w, eps); },
            unbiased, reference::rms_norm(unbiased, axes), Mode::train);
      }
    }
  }
}

TEST_CASE("reference: running statistics") {
  manual_seed(3);
  const NormInput in = input({5, 3, 4}, {3}, false);
  const auto moved = [](double from, double momentum, long double to) {
    return (1 - momentum) * from + momentum * to;
  };
  const auto check_running = [&](auto norm, const Values& mean, const Values& variance, double values) {
    Buffer running_mean(tensor({1, 2, 3})), running_var(tensor({4, 5, 6}));
    Counter batches;
    Tape tape;
    norm(RunningStatistics{&running_mean, &running_var, &batches, 0.3});
    CHECK(batches.value == 1);
    for (size_t c = 0; c < 3; ++c) {
      const auto i = static_cast<int64_t>(c);
      const auto first = static_cast<double>(c);
      CHECK(running_mean.value()(i) == doctest::Approx(static_cast<double>(moved(1 + first, 0.3, mean[c]))));
      const long double unbiased = variance[c] * values / (values - 1);
      CHECK(running_var.value()(i) == doctest::Approx(static_cast<double>(moved(4 + first, 0.3, unbiased))));
    }
  };
  const NormOutput batch = reference::batch_norm(in), instances = reference::instance_norm(in);
  check_running([&](const RunningStatistics& r) { batch_norm(in.x, {}, {}, r); }, batch.mean, batch.variance,
                20);
  Values mean(3), variance(3);
  for (size_t i = 0; i < 15; ++i)
    mean[i % 3] += instances.mean[i] / 5, variance[i % 3] += instances.variance[i] / 5;
  check_running([&](const RunningStatistics& r) { instance_norm(in.x, {}, {}, r); }, mean, variance, 4);
}

TEST_CASE("reference: weight and spectral norm") {
  manual_seed(4);
  for (const Shape& shape : {Shape{1, 1}, {3, 5}, {40, 70}, {4, 2, 3, 3}}) {
    CAPTURE(shape.str());
    Tensor v = randn(shape), g = randn(row_lengths(v).shape());
    const Tensor dw = randn(shape);
    const reference::WeightNormOutput expected = reference::weight_norm(v, g, dw);
    Tape tape;
    tape.watch(v), tape.watch(g);
    const Tensor w = weight_norm(v, g);
    tape.backward(w, dw);
    CHECK(near(w, expected.w));
    CHECK(near(tape.grad(v), expected.dv));
    CHECK(near(tape.grad(g), expected.dg));

    Tensor u = randn({shape[0]}), direction = randn({v.count() / shape[0]}), weight = randn(shape);
    const reference::SpectralNormOutput spectral = reference::spectral_norm(weight, u, direction, dw);
    Tape another;
    another.watch(weight);
    const Tensor y = spectral_norm(weight, u, direction);
    another.backward(y, dw);
    CHECK(near(y, spectral.y));
    CHECK(near(another.grad(weight), spectral.dw));
  }
}
