// Gradients of the layers, for their inputs and parameters.
#include <doctest/doctest.h>

#include <ballast/core/gradcheck.h>
#include <ballast/core/ops.h>
#include <ballast/core/random.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/functional.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/sequential.h>

#include "distinct.h"

using namespace ballast;

namespace {

// Parameters and running statistics as after some training: no weight 1, no bias 0.
void scatter(Module& layer) {
  for_each_parameter(layer, [](const std::string&, Parameter& p) { p.assign(randn(p.shape())); });
  for_each_buffer(layer,
                  [](const std::string&, Buffer& b) { b.assign(rand(b.shape(), real(0.5), real(1.5))); });
}

void check_layer(Module&& layer, const Shape& shape) {
  scatter(layer);
  CAPTURE(layer.describe());
  CAPTURE(shape.str());
  CHECK(gradient_error(layer, distinct(shape), Mode::train) == "");
  CHECK(gradient_error(layer, distinct(shape), Mode::eval) == "");
}

void check_large(Module&& layer, const Shape& shape) {
  scatter(layer);
  CAPTURE(layer.describe());
  CAPTURE(shape.str());
  CHECK(directional_error(layer, randn(shape), Mode::train) == "");
  CHECK(directional_error(layer, randn(shape), Mode::eval) == "");
}

}  // namespace

TEST_CASE("gradient: Linear") {
  manual_seed(1);
  for (const Shape& shape : {Shape{1, 1}, {1, 4}, {3, 1}, {4, 5}, {5}, {2, 3, 4}, {2, 1, 3}, {1, 2, 1, 3}}) {
    check_layer(Linear(shape[-1], 3), shape);
    check_layer(Linear(shape[-1], 1, {.bias = false}), shape);
  }
}

TEST_CASE("gradient: Conv2d") {
  manual_seed(2);
  check_layer(Conv2d(1, 1, 1), {1, 1, 1, 1});
  check_layer(Conv2d(2, 3, 3), {2, 2, 4, 5});
  check_layer(Conv2d(2, 3, 1, {.bias = false}), {2, 2, 3, 2});
  check_layer(Conv2d(1, 2, {3, 2}, {.padding = {1, 0}}), {2, 1, 3, 4});
  check_layer(Conv2d(2, 2, 3, {.padding = 2}), {1, 2, 2, 1});
  check_layer(Conv2d(2, 2, 3, {.stride = 2}), {2, 2, 6, 5});
  check_layer(Conv2d(1, 2, 2, {.stride = {1, 3}, .padding = 1}), {2, 1, 3, 4});
  check_layer(Conv2d(2, 1, 2, {.dilation = {2, 1}}), {2, 2, 4, 3});
  check_layer(Conv2d(4, 6, 3, {.padding = 1, .groups = 2}), {1, 4, 3, 3});
  check_layer(Conv2d(3, 3, 3, {.padding = 1, .groups = 3, .bias = false}), {2, 3, 3, 3});
  check_layer(Conv2d(2, 4, 1, {.stride = 2, .groups = 2}), {2, 2, 3, 4});
  check_layer(Conv2d(2, 4, {3, 2}, {.stride = {2, 1}, .padding = {2, 1}, .dilation = {1, 2}, .groups = 2}),
              {2, 2, 4, 3});
  check_large(Conv2d(8, 16, 3, {.padding = 1}), {6, 8, 28, 28});
  check_large(Conv2d(8, 16, 3, {.stride = 2, .padding = 1, .groups = 4}), {6, 8, 28, 28});
  check_large(Conv2d(16, 16, 1), {6, 16, 28, 28});
}

TEST_CASE("gradient: Conv1d") {
  manual_seed(3);
  check_layer(Conv1d(1, 1, 1), {1, 1, 1});
  check_layer(Conv1d(2, 3, 3), {2, 2, 5});
  check_layer(Conv1d(2, 3, 3, {.bias = false}), {1, 2, 3});
  check_layer(Conv1d(1, 2, 4, {.padding = 2}), {2, 1, 3});
  check_layer(Conv1d(3, 2, 2, {.stride = 2}), {2, 3, 7});
  check_layer(Conv1d(2, 2, 3, {.dilation = 2}), {2, 2, 6});
  check_layer(Conv1d(4, 2, 3, {.padding = 1, .groups = 2}), {2, 4, 4});
  check_layer(Conv1d(2, 4, 3, {.stride = 3, .padding = 2, .dilation = 2, .groups = 2, .bias = false}),
              {2, 2, 8});
}

TEST_CASE("gradient: pooling") {
  manual_seed(4);
  const auto check = [](Pair window, const PoolOptions& options, const Shape& shape) {
    check_layer(MaxPool2d(window, options), shape);
    check_layer(AvgPool2d(window, options), shape);
  };
  check(1, {}, {1, 1, 1, 1});
  check(2, {}, {2, 2, 4, 4});
  check(2, {}, {1, 2, 5, 3});
  check({1, 3}, {}, {2, 1, 2, 7});
  check(3, {.stride = 1}, {2, 2, 4, 3});
  check(3, {.stride = 2, .padding = 1}, {1, 2, 5, 6});
  check({3, 2}, {.stride = Pair{1, 2}, .padding = {1, 0}}, {2, 1, 4, 5});
  check(2, {.stride = 3}, {1, 2, 7, 6});
  check({4, 5}, {.padding = 2}, {1, 1, 3, 4});
  check_large(MaxPool2d(2), {8, 16, 28, 28});
  check_large(AvgPool2d(3, {.stride = 2, .padding = 1}), {8, 16, 28, 28});

  for (const Shape& shape :
       {Shape{1, 1, 6}, {2, 1, 6}, {1, 2, 7}, {2, 2, 9}, {3, 1, 6}, {1, 5, 6}, {2, 3, 8}, {4, 2, 6}}) {
    check_layer(MaxPool1d(2), shape);
    check_layer(AvgPool1d(2), shape);
    check_layer(MaxPool1d(3, {.stride = 2, .padding = 1}), shape);
    check_layer(AvgPool1d(3, {.stride = 2, .padding = 1}), shape);
  }

  for (const Shape& shape : {Shape{1, 1, 1, 1},
                             {2, 3, 1, 1},
                             {1, 2, 3, 4},
                             {2, 1, 4, 1},
                             {2, 3, 2, 2},
                             {3, 2, 1, 5},
                             {1, 1, 5, 5},
                             {2, 2, 3, 3}})
    check_layer(GlobalAvgPool(), shape);
  check_large(GlobalAvgPool(), {8, 16, 28, 28});
}

TEST_CASE("gradient: activation layers, Flatten and Dropout") {
  manual_seed(5);
  for (const Shape& shape :
       {Shape{1, 1}, {1, 6}, {5, 1}, {3, 4}, {2, 3, 2}, {2, 1, 2, 3}, {4, 9}, {1, 2, 1, 2, 2}}) {
    check_layer(ReLU(), shape);
    check_layer(LeakyReLU(real(0.2)), shape);
    check_layer(Sigmoid(), shape);
    check_layer(Tanh(), shape);
    check_layer(SiLU(), shape);
    check_layer(GELU(), shape);
    check_layer(Softmax(), shape);
    check_layer(Softmax(0), shape);
    check_layer(Flatten(), shape);
    check_layer(Dropout(), shape);
    check_layer(Dropout(0.1), shape);
    check_layer(Dropout(0), shape);
    check_layer(Dropout(1), shape);
  }
  check_large(Dropout(0.3), {100, 700});
}

TEST_CASE("gradient: BatchNorm1d and BatchNorm2d") {
  manual_seed(6);
  for (const Shape& shape :
       {Shape{2, 1}, {4, 3}, {9, 2}, {2, 17}, {1, 2, 3}, {3, 2, 4}, {2, 3, 1}, {2, 1, 9}}) {
    check_layer(BatchNorm1d(shape[1]), shape);
    check_layer(BatchNorm1d(shape[1], {.affine = false}), shape);
    check_layer(BatchNorm1d(shape[1], {.eps = real(0.1), .track_running_stats = false}), shape);
  }
  for (const Shape& shape : {Shape{2, 1, 1, 1},
                             {1, 2, 2, 1},
                             {1, 1, 3, 3},
                             {3, 2, 2, 2},
                             {2, 3, 1, 2},
                             {2, 2, 2, 5},
                             {2, 1, 4, 3},
                             {2, 4, 3, 1}}) {
    check_layer(BatchNorm2d(shape[1]), shape);
    check_layer(BatchNorm2d(shape[1], {.affine = false}), shape);
    check_layer(BatchNorm2d(shape[1], {.affine = false, .track_running_stats = false}), shape);
  }
  check_large(BatchNorm1d(100), {500, 100});
  check_large(BatchNorm2d(20), {8, 20, 28, 28});
}

TEST_CASE(
    "gradient: batch normalization with a weight alone, a bias alone, or other layers' statistics frozen") {
  manual_seed(7);
  const Tensor x = randn({3, 2, 4});
  CHECK(gradient_error([](Tensor t, Tensor w) { return batch_norm(std::move(t), std::move(w), {}); }, x,
                       randn({2})) == "");
  CHECK(gradient_error([](Tensor t, Tensor b) { return batch_norm(std::move(t), {}, std::move(b)); }, x,
                       randn({2})) == "");
  CHECK(gradient_error([](Tensor t, Tensor w) { return group_norm(std::move(t), 1, std::move(w), {}); }, x,
                       randn({2})) == "");
  CHECK(gradient_error([](Tensor t, Tensor b) { return layer_norm(std::move(t), 2, {}, std::move(b)); }, x,
                       randn({2, 4})) == "");
  CHECK(gradient_error([](Tensor t, Tensor w) { return instance_norm(std::move(t), std::move(w), {}); }, x,
                       randn({2})) == "");
  BatchNorm1d frozen(2);
  frozen.frozen.mode = true;
  check_layer(std::move(frozen), {3, 2, 4});
}

TEST_CASE("gradient: LayerNorm") {
  manual_seed(8);
  const auto check = [](const Shape& sizes, const Shape& shape) {
    check_layer(LayerNorm(sizes), shape);
    check_layer(LayerNorm(sizes, {.eps = real(0.1)}), shape);
    check_layer(LayerNorm(sizes, {.affine = false}), shape);
  };
  check({5}, {5});
  check({4}, {3, 4});
  check({9}, {2, 9});
  check({2}, {1, 1, 2});
  check({3, 4}, {2, 3, 4});
  check({3, 1}, {2, 2, 3, 1});
  check({2, 3, 2}, {2, 2, 3, 2});
  check({2, 1, 3, 2}, {2, 1, 3, 2});
  check_large(LayerNorm(Shape{100}), {500, 100});
  check_large(LayerNorm(Shape{30, 900}), {3, 30, 900});
}

TEST_CASE("gradient: GroupNorm") {
  manual_seed(9);
  const auto check = [](int64_t groups, const Shape& shape) {
    check_layer(GroupNorm(groups, shape[1]), shape);
    check_layer(GroupNorm(groups, shape[1], {.eps = real(0.1)}), shape);
    check_layer(GroupNorm(groups, shape[1], {.affine = false}), shape);
  };
  check(1, {2, 3});
  check(2, {3, 4});
  check(1, {1, 1, 4});
  check(2, {2, 4, 3});
  check(3, {2, 3, 2, 2});
  check(2, {2, 4, 1, 3});
  check(2, {1, 2, 3, 4});
  check(3, {2, 6, 1, 1});
  check(1, {2, 2, 2, 1, 2});
  check_large(GroupNorm(4, 20), {8, 20, 28, 28});
}

TEST_CASE("gradient: InstanceNorm2d") {
  manual_seed(10);
  for (const Shape& shape : {Shape{1, 1, 2, 1},
                             {2, 1, 2, 2},
                             {1, 3, 1, 3},
                             {2, 2, 3, 3},
                             {3, 2, 1, 4},
                             {2, 3, 5, 2},
                             {1, 1, 3, 4},
                             {2, 4, 2, 2}}) {
    check_layer(InstanceNorm2d(shape[1]), shape);
    check_layer(InstanceNorm2d(shape[1], {.eps = real(0.1), .affine = true}), shape);
    check_layer(InstanceNorm2d(shape[1], {.affine = true, .track_running_stats = true}), shape);
  }
  check_large(InstanceNorm2d(20, {.affine = true}), {8, 20, 28, 28});
}

TEST_CASE("gradient: Sequential and Residual") {
  manual_seed(11);
  check_layer(Sequential(), {2, 3});
  check_layer(Sequential(Linear(3, 4)), {2, 3});
  check_layer(Sequential(Linear(3, 4), BatchNorm1d(4), Tanh(), Linear(4, 2)), {5, 3});
  check_layer(Sequential(Linear(3, 4), GELU(), Dropout(0.4), Linear(4, 1)), {2, 2, 3});
  check_layer(Sequential(Linear(1, 1), Sigmoid(), Linear(1, 1)), {1, 1});
  check_layer(Sequential(Conv2d(1, 2, 3, {.padding = 1, .bias = false}), BatchNorm2d(2), SiLU(), AvgPool2d(2),
                         Flatten(), Linear(8, 2)),
              {2, 1, 4, 5});
  check_layer(Sequential(Conv1d(2, 3, 3), GroupNorm(3, 3), Tanh(), MaxPool1d(2)), {2, 2, 6});
  check_layer(Sequential(LayerNorm(4), Linear(4, 4), Sequential(SiLU(), Linear(4, 2))), {3, 4});

  check_layer(Residual(Sequential()), {2, 3});
  check_layer(Residual(Sequential(Linear(3, 3))), {2, 3});
  check_layer(Residual(Sequential(Linear(1, 1), Tanh())), {1, 1});
  check_layer(Residual(Sequential(Linear(3, 3), Tanh(), Linear(3, 3))), {2, 2, 3});
  check_layer(Residual(Sequential(Linear(3, 2)), Sequential(Linear(3, 2, {.bias = false}))), {4, 3});
  check_layer(Residual(Sequential(Conv2d(2, 2, 3, {.padding = 1}), BatchNorm2d(2))), {2, 2, 3, 2});
  check_layer(Residual(Sequential(Conv2d(2, 3, 3, {.stride = 2, .padding = 1}), SiLU()),
                       Sequential(Conv2d(2, 3, 1, {.stride = 2}))),
              {2, 2, 4, 3});
  check_layer(Residual(Sequential(Residual(Sequential(Linear(2, 2))), SiLU())), {3, 2});
}
