#include <ballast/layers/functional/conv.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/parallel.h>
#include <ballast/core/parameter.h>
#include <ballast/core/random.h>
#include "reference/convolution.h"

using namespace ballast;

namespace {

struct Case {
  const char* name;
  Shape x, weight;
  ConvOptions options = {};
  bool bias = true;
};

const std::vector<Case> cases = {
    {"plain", {2, 3, 6, 5}, {4, 3, 3, 3}},
    {"padding", {3, 2, 5, 7}, {3, 2, 3, 3}, {.padding = 1}},
    {"no bias", {3, 2, 5, 7}, {3, 2, 3, 3}, {.padding = 1}, false},
    {"stride", {2, 2, 9, 8}, {3, 2, 3, 3}, {.stride = 2}},
    {"stride beyond the kernel", {2, 2, 11, 10}, {3, 2, 2, 2}, {.stride = 3, .padding = 1}},
    {"stride, padding and dilation differ by axis",
     {2, 3, 11, 13},
     {2, 3, 3, 2},
     {.stride = {2, 1}, .padding = {1, 3}, .dilation = {2, 3}}},
    {"non-square kernel", {2, 2, 6, 9}, {3, 2, 1, 5}, {.padding = {0, 2}}},
    {"groups", {2, 6, 7, 6}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}},
    {"groups, stride and dilation",
     {2, 6, 9, 9},
     {9, 2, 3, 3},
     {.stride = 2, .padding = 2, .dilation = 2, .groups = 3}},
    {"depthwise", {2, 5, 6, 6}, {5, 1, 3, 3}, {.padding = 1, .groups = 5}},
    {"depthwise with two filters each", {2, 3, 6, 6}, {6, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 3}},
    {"depthwise, batches of images, the last one smaller",
     {37, 3, 9, 10},
     {3, 1, 3, 3},
     {.padding = 1, .groups = 3}},
    {"depthwise, stride 2, the same", {37, 3, 9, 10}, {3, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 3}},
    {"depthwise, stride 2, inputs that no window sees",
     {2, 3, 8, 10},
     {3, 1, 3, 3},
     {.stride = 2, .groups = 3}},
    {"depthwise, stride beyond the kernel", {2, 3, 11, 10}, {3, 1, 2, 2}, {.stride = {3, 4}, .groups = 3}},
    {"depthwise, stride 5", {2, 3, 11, 10}, {3, 1, 2, 2}, {.stride = 5, .groups = 3}},
    {"depthwise, all options differ by axis",
     {3, 4, 13, 11},
     {4, 1, 3, 4},
     {.stride = {3, 2}, .padding = {2, 4}, .dilation = {2, 3}, .groups = 4}},
    {"depthwise, wider than a tile", {2, 2, 3, 75}, {2, 1, 3, 3}, {.padding = 1, .groups = 2}},
    {"depthwise by two filters, wider than a tile", {1, 2, 5, 43}, {4, 1, 5, 5}, {.padding = 2, .groups = 2}},
    {"stride 3 and dilation 2", {2, 2, 19, 17}, {3, 2, 4, 3}, {.stride = 3, .padding = 2, .dilation = 2}},
    {"stride 4 and dilation 2", {2, 2, 23, 21}, {3, 2, 5, 5}, {.stride = 4, .padding = 3, .dilation = 2}},
    {"1x1", {3, 4, 5, 6}, {7, 4, 1, 1}},
    {"1x1 with groups", {3, 4, 5, 6}, {6, 2, 1, 1}, {.groups = 2}},
    {"1x1 with stride", {3, 4, 5, 6}, {2, 4, 1, 1}, {.stride = 2}},
    {"1x1 with padding", {3, 4, 5, 6}, {2, 4, 1, 1}, {.padding = {1, 0}}},
    {"kernel larger than the input", {2, 2, 3, 2}, {3, 2, 5, 4}, {.padding = 2}},
    {"kernel as large as the input", {3, 2, 4, 5}, {3, 2, 4, 5}},
    {"kernel as large as the input, padded", {2, 3, 3, 2}, {4, 3, 3, 2}, {.padding = 1}},
    {"some taps see padding only", {1, 1, 1, 2}, {2, 1, 5, 7}, {.padding = {2, 4}}},
    {"sizes of 1", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"one pixel, padded", {1, 1, 1, 1}, {1, 1, 3, 3}, {.padding = 1}},
    {"one row", {2, 2, 1, 9}, {3, 2, 1, 3}, {.padding = {0, 1}}},
    {"unfolded in several blocks", {1, 64, 22, 20}, {2, 64, 3, 3}, {.padding = 1}},
    {"more images than partial sums", {70, 2, 4, 5}, {9, 2, 3, 3}, {.padding = 1}},
    {"blocks of rows that see padding only", {1, 64, 4, 128}, {8, 64, 1, 3}, {.padding = 1}},
    {"dilation beyond the image", {1, 1, 16, 16}, {1, 1, 3, 3}, {.padding = 18, .dilation = 18}},
    {"Winograd", {3, 16, 22, 19}, {18, 16, 3, 3}, {.padding = 1}},
    {"Winograd, padding differs by axis", {2, 35, 27, 30}, {17, 35, 3, 3}, {.padding = {0, 2}}},
    {"Winograd, an image of many tiles", {1, 16, 41, 45}, {16, 16, 3, 3}, {.padding = 1}},
    {"Winograd, one tile clipped in both directions", {70, 16, 2, 2}, {17, 16, 3, 3}, {.padding = 1}},
    {"Winograd, every kind of tile", {5, 18, 14, 12}, {16, 18, 3, 3}, {.padding = {1, 2}}},
    {"Winograd, tiles clipped to one row or column", {17, 16, 7, 8}, {16, 16, 3, 3}, {.padding = {0, 0}}},
    {"Winograd, many channels", {1, 70, 30, 33}, {17, 70, 3, 3}, {.padding = 1}, false},
    {"Winograd, one image and many filters", {1, 16, 12, 14}, {150, 16, 3, 3}, {.padding = 1}},
    {"Winograd, dilated", {3, 48, 22, 20}, {48, 48, 3, 3}, {.padding = 2, .dilation = 2}},
    {"Winograd, dilated, odd sizes without padding", {2, 50, 19, 23}, {48, 50, 3, 3}, {.dilation = 2}},
    {"Winograd, dilation and padding differ by axis",
     {2, 48, 31, 17},
     {40, 48, 3, 3},
     {.padding = {4, 1}, .dilation = {3, 1}}},
    {"Winograd, dilated columns, 5 x 5 taps",
     {1, 48, 15, 41},
     {40, 48, 5, 5},
     {.padding = {2, 9}, .dilation = {1, 4}}},
    {"Winograd, 5 x 5 taps", {3, 16, 14, 12}, {18, 16, 5, 5}, {.padding = 2}},
    {"Winograd, 5 x 5 taps, odd sizes", {2, 35, 15, 17}, {17, 35, 5, 5}, {.padding = {0, 2}}},
    {"Winograd, 5 x 5 taps, one image and many filters", {1, 16, 12, 14}, {150, 16, 5, 5}, {.padding = 2}},
    {"more images than chunks", {37, 1, 3, 3}, {2, 1, 2, 2}},
    {"no images", {0, 2, 4, 4}, {3, 2, 3, 3}},
};

constexpr double tolerance = sizeof(real) == 4 ? 1e-5 : 1e-12;

/// The largest difference, relative to the largest element.
double error(const Tensor& found, const std::vector<double>& expected) {
  REQUIRE(found.count() == static_cast<int64_t>(expected.size()));
  double largest = 1, difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    const double distance = std::abs(static_cast<double>(found.data()[i]) - expected[i]);
    difference = distance <= difference ? difference : distance;  // NaN stays
  }
  return difference / largest;
}

/// y twice, so that two gradients arrive at whatever it was computed from, the second on top of the first.
Tensor both(const Tensor& a, const Tensor& b) {
  const NodeId in_a = a.node(), in_b = b.node();
  return record("both", a.clone(), {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    grads.add(in_a, dy);
    grads.add(in_b, dy);
  });
}

std::vector<double> doubled(std::vector<double> values) {
  for (double& v : values) v *= 2;
  return values;
}

template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.message;
  }
  return "no error";
}

}  // namespace

TEST_CASE("conv2d: values and gradients are those of the definition") {
  manual_seed(1);
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Tensor x = randn(c.x), weight = randn(c.weight);
    Tensor bias = c.bias ? randn(Shape{c.weight[0]}) : Tensor();
    Tape tape;
    tape.watch(x);
    tape.watch(weight);
    if (c.bias) tape.watch(bias);
    const Tensor y = conv2d(x, weight, bias, c.options);
    const Tensor dy = randn(y.shape());
    const reference::Convolution expected(x, weight, bias, c.options, dy);
    CHECK(error(y, expected.y) < tolerance);

    tape.backward(y, dy, Keep{});
    CHECK(error(tape.grad(x), expected.dx) < tolerance);
    CHECK(error(tape.grad(weight), expected.dweight) < tolerance);
    if (c.bias) CHECK(error(tape.grad(bias), expected.dbias) < tolerance);

    tape.backward(both(y, conv2d(x, weight, bias, c.options)), dy);
    CHECK(error(tape.grad(x), doubled(expected.dx)) < tolerance);
    CHECK(error(tape.grad(weight), doubled(expected.dweight)) < tolerance);
    if (c.bias) CHECK(error(tape.grad(bias), doubled(expected.dbias)) < tolerance);
  }
}

TEST_CASE("conv2d: the output's size") {
  const auto size = [](int64_t in, int64_t kernel, const ConvOptions& options) {
    return conv2d(zeros({1, 1, in, in}), zeros({1, 1, kernel, kernel}), {}, options).shape();
  };
  CHECK(size(28, 3, {.padding = 1}) == Shape{1, 1, 28, 28});
  CHECK(size(7, 3, {.stride = 2}) == Shape{1, 1, 3, 3});
  CHECK(size(8, 3, {.stride = 2}) == Shape{1, 1, 3, 3});
  CHECK(size(9, 3, {.dilation = {4, 1}}) == Shape{1, 1, 1, 7});
  CHECK(size(8, 2, {.stride = {5, 3}, .padding = {1, 0}}) == Shape{1, 1, 2, 3});
}

TEST_CASE("conv2d: gradients go only where one is wanted") {
  manual_seed(2);
  const Case c = {"", {2, 2, 5, 5}, {3, 2, 3, 3}};
  const Tensor x = randn(c.x), weight = randn(c.weight), bias = randn({3}), dy = randn({2, 3, 3, 3});
  const reference::Convolution expected(x, weight, bias, c.options, dy);
  for (int wanted = 0; wanted < 3; ++wanted) {
    CAPTURE(wanted);
    std::array<Tensor, 3> inputs = {x, weight, bias};
    Tensor& variable = inputs[static_cast<size_t>(wanted)];
    Tape tape;
    tape.watch(variable);
    tape.backward(conv2d(inputs[0], inputs[1], inputs[2]), dy);
    CHECK(error(tape.grad(variable), wanted == 0   ? expected.dx
                                     : wanted == 1 ? expected.dweight
                                                   : expected.dbias) < tolerance);
  }
}

TEST_CASE("conv2d: nothing is recorded without a tape") {
  Parameter weight(ones({1, 1, 1, 1}));
  const Tensor y = conv2d(ones({1, 1, 2, 2}), weight);
  const Tape tape;
  CHECK(!y.node());
  CHECK(tape.size() == 0);
}

TEST_CASE("conv2d: infinities and NaN pass, also next to padding") {
  Tensor x = zeros({1, 1, 3, 3});
  x(0, 0, 0, 0) = std::numeric_limits<real>::infinity();
  x(0, 0, 2, 2) = std::numeric_limits<real>::quiet_NaN();
  const Tensor y = conv2d(x, ones({1, 1, 2, 2}), {}, {.padding = 1});
  CHECK(std::isinf(y(0, 0, 0, 0)));
  CHECK(std::isinf(y(0, 0, 1, 1)));
  CHECK(std::isnan(y(0, 0, 3, 3)));
  CHECK(y(0, 0, 3, 0) == 0);
}

TEST_CASE("conv2d: a bias gradient over many positions is summed in double") {
  Tensor bias = zeros({1});
  Tape tape;
  tape.watch(bias);
  const Tensor y = conv2d(zeros({64, 1, 128, 128}), zeros({1, 1, 1, 1}), bias);
  tape.backward(y, full(y.shape(), real(0.1)));
  const double expected = static_cast<double>(real(0.1)) * 64 * 128 * 128;
  CHECK(std::abs(static_cast<double>(tape.grad(bias).item()) - expected) < expected * 1e-7);
}

TEST_CASE("conv2d: the same bits on any number of threads") {
  const int threads_before = num_threads();
  for (const Case& c : {Case{"", {40, 8, 12, 12}, {16, 8, 3, 3}, {.padding = 1}},
                        Case{"pointwise", {40, 64, 12, 12}, {32, 64, 1, 1}},
                        Case{"depthwise", {40, 16, 12, 12}, {16, 1, 3, 3}, {.stride = 2, .groups = 16}}}) {
    CAPTURE(c.name);
    manual_seed(3);
    const Tensor x = randn(c.x), weight = randn(c.weight), bias = randn(Shape{c.weight[0]});
    const auto run = [&] {
      std::array<Tensor, 3> inputs = {x, weight, bias};
      Tape tape;
      for (Tensor& input : inputs) tape.watch(input);
      const Tensor y = conv2d(inputs[0], inputs[1], inputs[2], c.options);
      tape.backward(y, y.clone());
      return std::array{y, tape.grad(inputs[0]), tape.grad(inputs[1]), tape.grad(inputs[2])};
    };
    set_num_threads(1);
    const auto expected = run();
    for (int threads = 2; threads <= 4; ++threads) {
      CAPTURE(threads);
      set_num_threads(threads);
      threads_used_since_last_call();
      int used = 0;  // a worker may wake too late on a busy machine
      for (int attempt = 0; attempt < 10000 && used < 2; ++attempt) {
        const auto found = run();
        for (size_t i = 0; i < found.size(); ++i) {
          REQUIRE(std::memcmp(found[i].data(), expected[i].data(),
                              static_cast<size_t>(expected[i].count()) * sizeof(real)) == 0);
        }
        used = threads_used_since_last_call();
      }
      CHECK(used >= 2);
    }
  }
  set_num_threads(threads_before);
}

TEST_CASE("conv2d: errors say what arrived, what was expected and what to do") {
  const auto shape_error = [](const Shape& x, const Shape& weight, const ConvOptions& options = {},
                              const Tensor& bias = {}) {
    return message_of<ShapeError>([&] { conv2d(zeros(x), zeros(weight), bias, options); });
  };
  const auto value_error = [](const ConvOptions& options) {
    return message_of<ValueError>([&] { conv2d(zeros({1, 4, 5, 5}), zeros({6, 4, 3, 3}), {}, options); });
  };
  CHECK(shape_error({8, 3, 28, 28}, {32, 1, 3, 3}) ==
        "conv2d: x is (8, 3, 28, 28); weight (32, 1, 3, 3) with groups 1 takes 1 channel(s)");
  CHECK(shape_error({8, 5, 28, 28}, {32, 2, 3, 3}, {.groups = 2}) ==
        "conv2d: x is (8, 5, 28, 28); weight (32, 2, 3, 3) with groups 2 takes 4 channel(s)");
  CHECK(shape_error({8, 784}, {32, 1, 3, 3}) == "conv2d: x is (8, 784); it must be (N, C, H, W)");
  CHECK(shape_error({8, 1, 28, 28}, {32, 9}) ==
        "conv2d: weight is (32, 9); it must be (O, C/groups, KH, KW), each size at least 1");
  CHECK(shape_error({8, 1, 28, 28}, {32, 1, 0, 3}) ==
        "conv2d: weight is (32, 1, 0, 3); it must be (O, C/groups, KH, KW), each size at least 1");
  CHECK(shape_error({8, 1, 28, 28}, {32, 1, 3, 3}, {}, zeros({16})) ==
        "conv2d: bias is (16); weight (32, 1, 3, 3) needs (32), one number per filter");
  CHECK(shape_error({8, 1, 2, 28}, {32, 1, 3, 3}, {.padding = {0, 1}, .dilation = 2}) ==
        "conv2d: x is (8, 1, 2, 28); with padding (0, 1) that is smaller than the kernel of weight (32, 1, "
        "3, 3) "
        "with dilation (2, 2); pad more, or take a smaller kernel");
  CHECK(value_error({.stride = {1, 0}}) == "conv2d: stride is (1, 0); both numbers must be from 1 to 2^30");
  CHECK(value_error({.padding = -1}) == "conv2d: padding is (-1, -1); both numbers must be from 0 to 2^30");
  CHECK(value_error({.padding = int64_t{1} << 62}).starts_with("conv2d: padding is (4611686018427387904, "));
  CHECK(value_error({.dilation = 0}) == "conv2d: dilation is (0, 0); both numbers must be from 1 to 2^30");
  CHECK(value_error({.groups = 4}) ==
        "conv2d: groups is 4; it must divide the 6 filters of weight (6, 4, 3, 3)");
  CHECK(value_error({.groups = 0}) ==
        "conv2d: groups is 0; it must divide the 6 filters of weight (6, 4, 3, 3)");
}

TEST_CASE("conv_transpose2d of single pixels: the sum of kernels, weighted by the channels") {
  manual_seed(3);
  Tensor x = randn({3, 4, 1, 1}), weight = randn({4, 2, 2, 3}), bias = randn({2});
  const Tensor dy = randn({3, 2, 2, 3});
  Tape tape;
  for (Tensor* t : {&x, &weight, &bias}) tape.watch(*t);
  const Tensor y = conv_transpose2d(x, weight, bias);
  REQUIRE(y.shape() == dy.shape());
  std::vector<double> expected(static_cast<size_t>(y.count())), dx(12), dweight(48), dbias(2);
  for (int64_t n = 0; n < 3; ++n) {
    for (int64_t i = 0; i < 12; ++i) {  // of the two channels and six pixels of a result
      const size_t at = static_cast<size_t>(n * 12 + i);
      const double d = dy.data()[at];
      expected[at] = bias.data()[i / 6];
      dbias[static_cast<size_t>(i / 6)] += d;
      for (int64_t c = 0; c < 4; ++c) {
        expected[at] += x.data()[n * 4 + c] * weight.data()[c * 12 + i];
        dx[static_cast<size_t>(n * 4 + c)] += d * weight.data()[c * 12 + i];
        dweight[static_cast<size_t>(c * 12 + i)] += d * x.data()[n * 4 + c];
      }
    }
  }
  CHECK(error(y, expected) < tolerance);
  tape.backward(y, dy);
  CHECK(error(tape.grad(x), dx) < tolerance);
  CHECK(error(tape.grad(weight), dweight) < tolerance);
  CHECK(error(tape.grad(bias), dbias) < tolerance);
}
