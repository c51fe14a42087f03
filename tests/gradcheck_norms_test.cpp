// Gradients of root mean square, weight and spectral normalization, and of the wrapped layers.
#include <doctest/doctest.h>

#include <ballast/core/gradcheck.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/random.h>
#include <ballast/layers/functional/norm.h>
#include <ballast/layers/functional/weight_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/layers/weight_norm.h>

#include "distinct.h"

using namespace ballast;

namespace {

void check_layer(Module&& layer, const Shape& shape) {
  for_each_parameter(layer, [](const std::string&, Parameter& p) { p.assign(randn(p.shape())); });
  layer.frozen.statistics = true;  // the power iteration isn't part of the function
  CAPTURE(layer.describe());
  CAPTURE(shape.str());
  CHECK(gradient_error(layer, distinct(shape), Mode::train) == "");
  CHECK(gradient_error(layer, distinct(shape), Mode::eval) == "");
}

}  // namespace

TEST_CASE("gradient: rms_norm") {
  manual_seed(1);
  const auto check = [](int axes, const Shape& shape) {
    CAPTURE(shape.str());
    const Tensor x = randn(shape), w = randn(Shape(shape.begin() + (shape.rank() - axes), axes));
    CHECK(gradient_error([=](Tensor t) { return rms_norm(std::move(t), axes, {}); }, x) == "");
    CHECK(gradient_error(
              [=](Tensor t, Tensor u) { return rms_norm(std::move(t), axes, std::move(u), real(0.1)); }, x,
              w) == "");
  };
  check(1, {5});
  check(1, {3, 4});
  check(1, {2, 9});
  check(1, {1, 1, 2});
  check(2, {2, 3, 4});
  check(2, {2, 2, 3, 1});
  check(3, {2, 2, 3, 2});
  check(4, {2, 1, 3, 2});
  CHECK(directional_error([](Tensor t, Tensor u) { return rms_norm(std::move(t), 1, std::move(u)); },
                          randn({500, 100}), randn({100})) == "");
  CHECK(directional_error([](Tensor t, Tensor u) { return rms_norm(std::move(t), 2, std::move(u)); },
                          randn({3, 30, 900}), randn({30, 900})) == "");
  check_layer(RMSNorm({3, 2}), {4, 3, 2});
  check_layer(RMSNorm(4, {.affine = false}), {4, 4});
}

TEST_CASE("gradient: InstanceNorm1d") {
  manual_seed(2);
  for (const Shape& shape :
       {Shape{1, 1, 2}, {2, 1, 4}, {1, 3, 3}, {2, 2, 9}, {3, 2, 4}, {2, 3, 2}, {1, 1, 17}, {2, 4, 5}}) {
    check_layer(InstanceNorm1d(shape[1]), shape);
    check_layer(InstanceNorm1d(shape[1], {.affine = true, .track_running_stats = true}), shape);
  }
}

TEST_CASE("gradient: weight_norm and spectral_norm") {
  manual_seed(3);
  for (const Shape& shape :
       {Shape{1, 1}, {1, 5}, {4, 1}, {3, 4}, {2, 9}, {2, 3, 2}, {3, 2, 2, 2}, {2, 1, 3, 1}, {4}}) {
    CAPTURE(shape.str());
    const Tensor w = randn(shape);
    CHECK(gradient_error([](Tensor v, Tensor g) { return weight_norm(std::move(v), std::move(g)); }, w,
                         randn(row_lengths(w).shape())) == "");
    const Tensor u = randn({shape[0]}), v = randn({w.count() / shape[0]});
    CHECK(gradient_error([=](Tensor t) { return spectral_norm(std::move(t), u, v); }, w) == "");
  }
  const Tensor w = randn({300, 200});
  CHECK(directional_error([](Tensor v, Tensor g) { return weight_norm(std::move(v), std::move(g)); }, w,
                          randn({300, 1})) == "");
  const Tensor u = rand({300}), v = rand({200});
  CHECK(directional_error([=](Tensor t) { return spectral_norm(std::move(t), u, v); }, w + real(1)) == "");
}

TEST_CASE("gradient: WeightNorm and SpectralNorm") {
  manual_seed(4);
  for (const bool bias : {true, false}) {
    check_layer(WeightNorm(Linear(4, 3, {.bias = bias})), {5, 4});
    check_layer(WeightNorm(Linear(1, 1, {.bias = bias})), {2, 1});
    check_layer(WeightNorm(Conv2d(2, 3, {3, 2}, {.padding = 1, .bias = bias})), {2, 2, 3, 4});
    check_layer(WeightNorm(Conv2d(4, 2, 2, {.stride = 2, .groups = 2, .bias = bias})), {1, 4, 4, 3});
    check_layer(SpectralNorm(Linear(4, 3, {.bias = bias})), {5, 4});
    check_layer(SpectralNorm(Linear(1, 1, {.bias = bias})), {2, 1});
    check_layer(SpectralNorm(Conv2d(2, 3, {3, 2}, {.padding = 1, .bias = bias})), {2, 2, 3, 4});
    check_layer(SpectralNorm(Conv2d(4, 2, 2, {.stride = 2, .groups = 2, .bias = bias})), {1, 4, 4, 3});
  }
}
