// Denormal numbers, zeros of both signs, infinities, NaN, and numbers near the ends of the range: what
// elementwise operations and losses make of them. Expected values are the functions themselves in double;
// PyTorch gives the same.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace ballast;

namespace {

using Limits = std::numeric_limits<real>;
constexpr double infinity = std::numeric_limits<double>::infinity(),
                 not_a_number = std::numeric_limits<double>::quiet_NaN();

std::vector<real> grid() {
  const real denormal = Limits::min() / 100;
  return {denormal,
          -denormal,
          Limits::denorm_min(),
          -Limits::denorm_min(),
          0,
          -real{0},
          Limits::infinity(),
          -Limits::infinity(),
          Limits::quiet_NaN(),
          Limits::max(),
          Limits::lowest(),
          real(1e-30),
          real(-1e-30),
          1,
          -1,
          real(2.5),
          real(-2.5)};
}

bool alike(real got, double expected, double slack) {
  if (std::isnan(expected)) return std::isnan(got);
  const real rounded = static_cast<real>(expected);
  if (std::isinf(rounded) || rounded == 0) return got == rounded || (rounded == 0 && std::abs(got) <= slack);
  return std::abs(got - expected) <=
         4 * double{Limits::epsilon()} * std::abs(expected) + Limits::denorm_min() + slack;
}

// f and its derivative at every point of the grid. A gradient may take denormal numbers as zero.
void check_function(const std::string& name, Tensor (*op)(Tensor), const std::function<double(double)>& f,
                    const std::function<double(double)>& slope, bool flushed_gradient) {
  CAPTURE(name);
  const std::vector<real> points = grid();
  const Shape shape{static_cast<int64_t>(points.size())};
  Parameter x(tensor(points, shape));
  Tape tape;
  const Tensor y = op(x);
  tape.backward(y, ones(shape));
  const double slope_slack = flushed_gradient ? 4 * double{Limits::epsilon()} : 0;  // 1 - y^2 cancels
  for (size_t i = 0; i < points.size(); ++i) {
    CAPTURE(points[i]);
    const auto at = static_cast<int64_t>(i);
    CAPTURE(y(at));
    CAPTURE(x.grad()(at));
    CHECK(alike(y(at), f(points[i]), 0));
    CHECK(alike(x.grad()(at), slope(points[i]), slope_slack));
  }
}

}  // namespace

TEST_CASE("functions and comparisons see denormal numbers as what they are") {
  check_function(
      "relu", [](Tensor x) { return relu(x); }, [](double x) { return x < 0 ? 0 : x; },
      [](double x) { return x <= 0 ? 0.0 : 1.0; }, false);
  check_function(
      "leaky_relu", [](Tensor x) { return leaky_relu(x, real(0.25)); },
      [](double x) { return x > 0 ? x : x / 4; }, [](double x) { return x > 0 ? 1 : 0.25; }, false);
  check_function(
      "log", [](Tensor x) { return log(x); }, [](double x) { return std::log(x); },
      [](double x) { return 1 / x; }, false);
  check_function(
      "sqrt", [](Tensor x) { return sqrt(x); }, [](double x) { return std::sqrt(x); },
      [](double x) { return 0.5 / std::sqrt(x); }, false);
  check_function(
      "pow 0.5", [](Tensor x) { return pow(x, real(0.5)); }, [](double x) { return std::pow(x, 0.5); },
      [](double x) { return 0.5 * std::pow(x, -0.5); }, false);
  check_function(
      "pow 3", [](Tensor x) { return pow(x, 3); }, [](double x) { return x * x * x; },
      [](double x) { return 3 * x * x; }, false);
  check_function(
      "pow 0", [](Tensor x) { return pow(x, 0); }, [](double) { return 1.0; }, [](double) { return 0.0; },
      false);
  check_function(
      "abs", [](Tensor x) { return abs(x); }, [](double x) { return std::abs(x); },
      [](double x) { return x > 0   ? 1.0
                            : x < 0 ? -1.0
                                    : 0.0; }, false);
  check_function(
      "clamp", [](Tensor x) { return clamp(x, 0, 2); }, [](double x) { return x < 0   ? 0
                                                                              : x > 2 ? 2
                                                                                      : x; },
      [](double x) { return x >= 0 && x <= 2 ? 1.0 : 0.0; }, false);
}

TEST_CASE("smooth functions are right at the ends of the range, with gradients but for denormal numbers") {
  const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
  check_function(
      "sigmoid", [](Tensor x) { return sigmoid(x); }, sigma,
      [=](double x) { return sigma(x) * (1 - sigma(x)); }, true);
  check_function(
      "tanh", [](Tensor x) { return tanh(x); }, [](double x) { return std::tanh(x); },
      [](double x) { return 1 - std::tanh(x) * std::tanh(x); }, true);
  check_function(
      "exp", [](Tensor x) { return exp(x); }, [](double x) { return std::exp(x); },
      [](double x) { return std::exp(x); }, true);
}

TEST_CASE("the larger of two denormal numbers is found") {
  const real small = Limits::denorm_min(), large = 2 * small;
  CHECK(max(tensor({small, large})).item() == large);
  CHECK(maximum(tensor({small}), tensor({large})).item() == large);
  CHECK(minimum(tensor({large}), tensor({small})).item() == small);
  CHECK((tensor({small}) < tensor({large})).item() == 1);
  CHECK(argmax(tensor({{small, large}}))[0] == 1);
  CHECK(where(tensor({small}), ones({1}), zeros({1})).item() == 1);
  for (const int64_t window : {2, 3}) {  // by kernels of their own
    Tensor x = full({1, 1, window, window}, small);
    x(0, 0, 1, 1) = large;
    CHECK(max_pool2d(x, window).item() == large);
    CHECK(relu(max_pool2d(-x, window)).item() == 0);
  }
}

TEST_CASE("binary cross-entropy of an infinite logit is its limit") {
  struct Case {
    double x, t, loss, slope;
  };
  for (const Case& c :
       {Case{infinity, 0, infinity, 1}, Case{infinity, 0.5, infinity, 0.5}, Case{infinity, 1, 0, 0},
        Case{-infinity, 0, 0, 0}, Case{-infinity, 0.5, infinity, -0.5}, Case{-infinity, 1, infinity, -1},
        Case{not_a_number, 1, not_a_number, not_a_number}, Case{not_a_number, 0, not_a_number, not_a_number},
        Case{0, 0.5, std::log(2), 0}}) {
    CAPTURE(c.x);
    CAPTURE(c.t);
    Parameter x(tensor({static_cast<real>(c.x)}));
    Tape tape;
    const Tensor loss = binary_cross_entropy_with_logits(x, tensor({static_cast<real>(c.t)}));
    tape.backward(loss);
    CHECK(alike(loss.item(), c.loss, 0));
    CHECK(alike(x.grad().item(), c.slope, 0));
  }
}

TEST_CASE("a linear layer without inputs starts with a bias of 0") {
  Linear layer(0, 3);
  for (int64_t i = 0; i < 3; ++i) CHECK(layer.bias.value()(i) == 0);
}
