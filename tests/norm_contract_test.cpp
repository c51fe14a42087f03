// What norms do with options out of range, sets of one value or none, and numbers that aren't finite.
#include <doctest/doctest.h>

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

using namespace ballast;

namespace {

constexpr real infinity = std::numeric_limits<real>::infinity();
constexpr real not_a_number = std::numeric_limits<real>::quiet_NaN();

template <class E>
std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "no error";
}

bool all_nan(const Tensor& x) {
  for (real v : x.values()) {
    if (!std::isnan(v)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a norm over one value is refused, which would leave the bias alone") {
  const auto refuses = [](const std::string& norm, const std::function<Tensor()>& f) {
    CAPTURE(norm);
    const auto refused = [&] { return message<ShapeError>(f).find(norm + ": x is (") != std::string::npos; };
    CHECK(refused());
    Tape tape;
    CHECK(refused());
  };
  refuses("group_norm", [] { return group_norm(randn({4, 6}), 6, {}, {}); });
  refuses("group_norm", [] { return group_norm(randn({4, 1}), 1, {}, {}); });
  refuses("group_norm", [] { return group_norm(randn({4, 6, 1, 1}), 6, {}, {}); });
  refuses("group_norm", [] { return GroupNorm(2, 2)(randn({2, 2})); });
  refuses("layer_norm", [] { return layer_norm(randn({4, 1}), 1, {}, {}); });
  refuses("layer_norm", [] { return layer_norm(randn({4, 1, 1}), 2, {}, {}); });
  refuses("layer_norm", [] { return LayerNorm(1)(randn({3, 1})); });
  refuses("rms_norm", [] { return rms_norm(randn({4, 1}), 1, {}); });
  refuses("rms_norm", [] { return RMSNorm(1)(randn({3, 1})); });
  refuses("instance_norm", [] { return instance_norm(randn({4, 6, 1, 1}), {}, {}); });
  refuses("instance_norm", [] { return instance_norm(randn({4, 6}), {}, {}); });
  refuses("batch_norm", [] { return batch_norm(randn({1, 6}), {}, {}); });
  refuses("batch_norm", [] { return batch_norm(randn({1, 6, 1, 1}), {}, {}); });
}

TEST_CASE("evaluation by running statistics takes one value per channel") {
  CHECK_NOTHROW(BatchNorm1d(6)(randn({1, 6})));
  CHECK_NOTHROW(InstanceNorm2d(6, {.track_running_stats = true})(randn({1, 6, 1, 1})));
}

TEST_CASE("options out of their range are refused when a norm is made, and by the functions") {
  for (const real eps : {real(0), real(-1), infinity, not_a_number, static_cast<real>(1e-330L)}) {
    CAPTURE(eps);
    const Tensor x = randn({4, 6, 2, 2});
    CHECK_THROWS_AS(BatchNorm1d(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(BatchNorm2d(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(InstanceNorm1d(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(InstanceNorm2d(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(LayerNorm(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(RMSNorm(6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(GroupNorm(2, 6, {.eps = eps}), ValueError);
    CHECK_THROWS_AS(batch_norm(x, {}, {}, {}, eps), ValueError);
    CHECK_THROWS_AS(instance_norm(x, {}, {}, {}, eps), ValueError);
    CHECK_THROWS_AS(layer_norm(x, 1, {}, {}, eps), ValueError);
    CHECK_THROWS_AS(rms_norm(x, 1, {}, eps), ValueError);
    CHECK_THROWS_AS(group_norm(x, 2, {}, {}, eps), ValueError);
  }
  for (const double momentum : {1.5, -0.1, double{not_a_number}, double{infinity}}) {
    CAPTURE(momentum);
    Buffer mean(zeros({6})), var(ones({6}));
    const RunningStatistics running{.mean = &mean, .var = &var, .momentum = momentum};
    CHECK_THROWS_AS(BatchNorm1d(6, {.momentum = momentum}), ValueError);
    CHECK_THROWS_AS(BatchNorm2d(6, {.momentum = momentum}), ValueError);
    CHECK_THROWS_AS(InstanceNorm1d(6, {.momentum = momentum}), ValueError);
    CHECK_THROWS_AS(InstanceNorm2d(6, {.momentum = momentum}), ValueError);
    CHECK_THROWS_AS(batch_norm(randn({4, 6}), {}, {}, running), ValueError);
    CHECK_THROWS_AS(instance_norm(randn({4, 6, 2}), {}, {}, running), ValueError);
  }
  CHECK_NOTHROW(BatchNorm1d(6, {.momentum = 0}));
  CHECK_NOTHROW(BatchNorm1d(6, {.momentum = 1}));
  CHECK(message<ValueError>([] { BatchNorm2d(3, {.momentum = 1.5}); }) ==
        "BatchNorm2d: momentum is 1.5; it must be from 0 to 1, the weight of the new value");
  CHECK(message<ValueError>([] { LayerNorm(3, {.eps = 0}); }) ==
        "LayerNorm: eps is 0; it must be a finite number above 0");
}

TEST_CASE("sizes that no norm has are refused when it is made") {
  for (const int64_t channels : {0, -3}) {
    CAPTURE(channels);
    CHECK_THROWS_AS(BatchNorm1d{channels}, ValueError);
    CHECK_THROWS_AS(BatchNorm2d{channels}, ValueError);
    CHECK_THROWS_AS(InstanceNorm1d{channels}, ValueError);
    CHECK_THROWS_AS(InstanceNorm2d{channels}, ValueError);
    CHECK_THROWS_AS(GroupNorm(1, channels), ValueError);
    CHECK_THROWS_AS(GroupNorm(channels, 6), ValueError);
    CHECK_THROWS_AS(LayerNorm{channels}, Error);
    CHECK_THROWS_AS(RMSNorm{channels}, Error);
  }
  CHECK_THROWS_AS(GroupNorm(4, 6), ValueError);
  CHECK_THROWS_AS(LayerNorm(Shape{}), ValueError);
  CHECK_THROWS_AS(RMSNorm(Shape{3, 0}), ValueError);
}

TEST_CASE("an empty batch gives an empty result, is counted, and leaves the running statistics") {
  const auto check = [](auto norm, const Shape& shape) {
    CAPTURE(norm.describe());
    CAPTURE(shape.str());
    Tape tape;
    Tensor x = zeros(shape);
    tape.watch(x);
    const Tensor y = norm(x);
    CHECK(y.shape() == shape);
    tape.backward(y, zeros(shape));
    CHECK(tape.grad(x).shape() == shape);
    CHECK(norm.num_batches_tracked.value == 1);
    for (int64_t c = 0; c < shape[1]; ++c) {
      CHECK(norm.running_mean.value()(c) == 0);
      CHECK(norm.running_var.value()(c) == 1);
      CHECK(norm.weight.grad()(c) == 0);
      CHECK(norm.bias.grad()(c) == 0);
    }
  };
  for (const std::optional<double> momentum : {std::optional(0.1), std::optional<double>()}) {
    check(BatchNorm1d(5, {.momentum = momentum}), {0, 5});
    check(BatchNorm1d(5, {.momentum = momentum}), {0, 5, 9});
    check(BatchNorm1d(5, {.momentum = momentum}), {3, 5, 0});
    check(BatchNorm2d(5, {.momentum = momentum}), {0, 5, 3, 3});
    check(InstanceNorm1d(5, {.momentum = momentum, .affine = true, .track_running_stats = true}), {3, 5, 0});
    check(InstanceNorm2d(5, {.momentum = momentum, .affine = true, .track_running_stats = true}),
          {0, 5, 2, 2});
  }
}

TEST_CASE("in evaluation an element that isn't finite spoils no other's gradient") {
  for (const Shape& shape : {Shape{4, 1}, {3, 70}, {2, 3, 4}, {2, 3, 5, 7}, {2, 2, 16, 16}}) {
    for (const real bad : {not_a_number, infinity, -infinity}) {
      for (const bool instance : {false, true}) {
        if (instance && shape.rank() == 2) continue;
        for (const bool relu : {false, true}) {
          CAPTURE(shape.str());
          CAPTURE(bad);
          CAPTURE(relu);
          const int64_t channels = shape[1];
          Buffer mean(zeros({channels})), var(full({channels}, 3));
          const RunningStatistics running{.mean = &mean, .var = &var};
          const Tensor weight = full({channels}, 2), bias = zeros({channels}), dy = randn(shape);
          Tensor x = rand(shape, 1, 2);
          x.data()[0] = bad;
          Tape tape(Mode::eval);
          tape.watch(x);
          const Then then{.activation = relu ? Then::Activation::relu : Then::Activation::none};
          const Tensor y = instance ? instance_norm(x, weight, bias, running, 1, then)
                                    : batch_norm(x, weight, bias, running, 1, then);
          tape.backward(y, dy);
          const Tensor dx = tape.grad(x);
          bool right = true;  // w rstd g = 2 / sqrt(3 + 1) g, where the ReLU passes it
          for (int64_t i = 0; i < x.count(); ++i)
            right &= dx.data()[i] == (relu && i == 0 && bad < 0 ? 0 : dy.data()[i]);
          CHECK(right);
          CHECK((std::isnan(bad) ? std::isnan(y.data()[0]) : y.data()[0] == (relu && bad < 0 ? 0 : bad)));
        }
      }
    }
  }
}

TEST_CASE("in training an element that isn't finite makes its own set NaN, and no other") {
  const auto check = [](const std::string& name, const std::function<Tensor(Tensor)>& norm,
                        const Shape& shape, const std::function<bool(int64_t)>& in_set) {
    for (const real bad : {not_a_number, infinity, -infinity}) {
      for (const bool first : {true, false}) {
        CAPTURE(name);
        CAPTURE(bad);
        Tensor x = randn(shape);
        int64_t at = 0;
        for (int64_t i = 0; i < x.count() && !first; ++i) at = in_set(i) ? i : at;
        x.data()[at] = bad;
        Tape tape;
        tape.watch(x);
        const Tensor y = norm(x);
        tape.backward(y, randn(shape));
        const Tensor dx = tape.grad(x);
        bool right = true;
        for (int64_t i = 0; i < x.count(); ++i) {
          right &= std::isnan(y.data()[i]) == in_set(i);
          right &= std::isnan(dx.data()[i]) == in_set(i);
        }
        CHECK(right);
      }
    }
  };
  const Shape images{2, 4, 5, 3};  // 15 values a plane
  check(
      "vectors", [](Tensor x) { return batch_norm(x, {}, {}); }, {6, 5},
      [](int64_t i) { return i % 5 == 0; });
  check(
      "batch", [](Tensor x) { return batch_norm(x, {}, {}); }, images,
      [](int64_t i) { return i / 15 % 4 == 0; });
  check(
      "instance", [](Tensor x) { return instance_norm(x, {}, {}); }, images,
      [](int64_t i) { return i < 15; });
  check(
      "group", [](Tensor x) { return group_norm(x, 2, {}, {}); }, images, [](int64_t i) { return i < 30; });
  check(
      "layer", [](Tensor x) { return layer_norm(x, 2, {}, {}); }, images, [](int64_t i) { return i < 15; });
}

TEST_CASE("RMS norm of an infinite element: it is NaN, and the others of its set are 0") {
  const Tensor y = rms_norm(tensor({{1, infinity, 2}, {1, 1, 1}}), 1, {});
  CHECK((y(0, 0) == 0 && std::isnan(y(0, 1)) && y(0, 2) == 0 && y(1, 0) == doctest::Approx(1)));
  CHECK(all_nan(rms_norm(tensor({{1, not_a_number, 2}}), 1, {})));
}

TEST_CASE("the running mean of a batch with an infinite element is infinite, wherever it stands") {
  for (const Shape& shape : {Shape{4, 1}, {2, 1, 3}}) {
    for (int64_t at = 0; at < 4; ++at) {
      for (const real bad : {infinity, -infinity}) {
        BatchNorm1d norm(1);
        Tensor x = randn(shape);
        x.data()[at] = bad;
        Tape tape;
        norm(x);
        CHECK(norm.running_mean.value()(0) == bad);
        CHECK(std::isnan(norm.running_var.value()(0)));
      }
    }
  }
}

TEST_CASE("1e30 and denormals are normalized like other numbers") {
  const real denormal = std::numeric_limits<real>::min() / 4;
  for (const real large : {real(1e30), real(-1e30)}) {
    const Tensor y = batch_norm(tensor({{large}, {0}, {0}, {0}}), {}, {});
    CHECK(y(0, 0) == doctest::Approx(large > 0 ? std::sqrt(3) : -std::sqrt(3)));
    CHECK(y(1, 0) == doctest::Approx(large > 0 ? -1 / std::sqrt(3) : 1 / std::sqrt(3)));
  }
  const Tensor y = layer_norm(tensor({{denormal, 1, 2}}), 1, {}, {});
  CHECK(y(0, 0) == doctest::Approx(-std::sqrt(1.5)).epsilon(1e-4));
  CHECK(y(0, 1) == doctest::Approx(0).epsilon(1e-4));
}
