// Gradients of arithmetic, functions of one element, activations and losses.
#include <doctest/doctest.h>

#include <ballast/core/gradcheck.h>
#include <ballast/core/ops.h>
#include <ballast/core/random.h>
#include <ballast/layers/functional.h>

#include "distinct.h"

using namespace ballast;

namespace {

const std::vector<Shape> shapes{
    {}, {1}, {7}, {1, 1}, {2, 3}, {3, 1, 2}, {2, 2, 1, 3}, {1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 1}};

struct Operands {
  Shape a, b;
};
const std::vector<Operands> broadcasting{{{}, {}},
                                         {{1}, {1}},
                                         {{3}, {}},
                                         {{}, {2, 2}},
                                         {{5}, {5}},
                                         {{2, 3}, {2, 3}},
                                         {{2, 3}, {3}},
                                         {{2, 3}, {2, 1}},
                                         {{4}, {1, 4}},
                                         {{1, 1}, {2, 3}},
                                         {{2, 1, 3}, {4, 1}},
                                         {{2, 3, 1, 1}, {1, 1, 2, 2}},
                                         {{2, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 2}}};

// Beyond one chunk of an elementwise loop.
const Shape large{3, 12001};

}  // namespace

TEST_CASE("gradient: arithmetic with broadcasting") {
  manual_seed(1);
  for (const auto& operands : broadcasting) {
    const Shape &shape_a = operands.a, &shape_b = operands.b;
    CAPTURE(shape_a.str());
    CAPTURE(shape_b.str());
    const Tensor a = randn(shape_a), b = rand(shape_b, real(0.5), 2);
    CHECK(gradient_error([](Tensor x, Tensor y) { return std::move(x) + std::move(y); }, a, b) == "");
    CHECK(gradient_error([](Tensor x, Tensor y) { return std::move(x) - std::move(y); }, a, b) == "");
    CHECK(gradient_error([](Tensor x, Tensor y) { return std::move(x) * std::move(y); }, a, b) == "");
    CHECK(gradient_error([](Tensor x, Tensor y) { return std::move(x) / std::move(y); }, a, b) == "");
  }
  for (const auto& operands : {Operands{large, large}, {large, {12001}}, {{3, 1}, large}}) {
    const Shape &shape_a = operands.a, &shape_b = operands.b;
    CAPTURE(shape_a.str());
    CAPTURE(shape_b.str());
    const Tensor a = randn(shape_a), b = rand(shape_b, real(0.5), 2);
    CHECK(directional_error([](Tensor x, Tensor y) { return x + y - x * y / (y + x * x); }, a, b) == "");
  }
}

TEST_CASE("gradient: maximum and minimum with broadcasting") {
  manual_seed(31);
  for (const auto& operands : broadcasting) {
    const Tensor a = randn(operands.a), b = randn(operands.b);
    CHECK(gradient_error([](Tensor x, Tensor y) { return maximum(std::move(x), std::move(y)); }, a, b) == "");
    CHECK(gradient_error([](Tensor x, Tensor y) { return minimum(std::move(x), std::move(y)); }, a, b) == "");
  }
}

TEST_CASE("gradient: one tensor used several times, and numbers") {
  manual_seed(2);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor x = rand(shape, real(0.5), 2);
    CHECK(gradient_error([](Tensor t) { return t + t; }, x) == "");
    CHECK(gradient_error([](Tensor t) { return t * t - t; }, x) == "");
    CHECK(gradient_error([](Tensor t) { return t / t + real(3) / t - real(2); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return -std::move(t); }, x) == "");
  }
}

TEST_CASE("gradient: functions of one element") {
  manual_seed(2);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor positive = rand(shape, real(0.5), 2), any = distinct(shape);
    CHECK(gradient_error([](Tensor x) { return exp(std::move(x)); }, any) == "");
    CHECK(gradient_error([](Tensor x) { return log(std::move(x)); }, positive) == "");
    CHECK(gradient_error([](Tensor x) { return sqrt(std::move(x)); }, positive) == "");
    CHECK(gradient_error([](Tensor x) { return pow(std::move(x), real(2.5)); }, positive) == "");
    CHECK(gradient_error([](Tensor x) { return pow(std::move(x), real(-1)); }, positive) == "");
    CHECK(gradient_error([](Tensor x) { return pow(std::move(x), 3); }, any) == "");
    CHECK(gradient_error([](Tensor x) { return pow(std::move(x), 1); }, any) == "");
    CHECK(gradient_error([](Tensor x) { return pow(std::move(x), 0); }, any) == "");
    CHECK(gradient_error([](Tensor x) { return abs(std::move(x)); }, any) == "");
    CHECK(gradient_error([](Tensor x) { return clamp(std::move(x), -1, real(0.5)); }, any) == "");
  }
  CHECK(gradient_error([](Tensor x) { return pow(std::move(x), 2); }, tensor({0, 1, -1})) == "");
  const Tensor positive = rand(large, real(0.5), 2);
  CHECK(directional_error([](Tensor x) { return exp(-sqrt(x)) * log(x) + pow(x, 3); }, positive) == "");
  CHECK(directional_error([](Tensor x) { return clamp(x, real(0.75), real(1.5)) + abs(x - real(1)); },
                          positive) == "");
}

TEST_CASE("gradient: where") {
  manual_seed(4);
  struct Case {
    Shape condition, a, b;
  };
  for (const auto& c : {Case{{}, {}, {}},
                        {{4}, {4}, {4}},
                        {{1}, {1}, {1}},
                        {{2, 3}, {}, {3}},
                        {{3}, {2, 3}, {2, 1}},
                        {{2, 1}, {1, 3}, {}},
                        {{2, 1, 3}, {4, 1}, {2, 4, 3}},
                        {{}, {2, 2}, {2}},
                        {{2, 3, 1, 2}, {3, 2, 2}, {1}}}) {
    CAPTURE(c.condition.str());
    Tensor condition = distinct(c.condition);
    for (int64_t i = 0; i < condition.count(); ++i) condition.data()[i] = condition.data()[i] > 0;
    const auto choose = [&](Tensor a, Tensor b) { return where(condition, std::move(a), std::move(b)); };
    CHECK(gradient_error(choose, randn(c.a), randn(c.b)) == "");
  }
}

TEST_CASE("gradient: activations") {
  manual_seed(5);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor x = distinct(shape);
    CHECK(gradient_error([](Tensor t) { return relu(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return leaky_relu(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return leaky_relu(std::move(t), real(0.3)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return leaky_relu(std::move(t), 0); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return sigmoid(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return tanh(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return silu(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return gelu(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return gelu(std::move(t), GeluForm::tanh); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return elu(std::move(t), real(0.7)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return softplus(std::move(t), 2); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return erf(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return expm1(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return log1p(std::move(t) * real(0.1)); }, x) == "");
  }
  const auto all = [](Tensor t) {
    return relu(t) + leaky_relu(t) * sigmoid(t) - tanh(t) * silu(t) + gelu(t);
  };
  CHECK(directional_error(all, randn(large)) == "");
}

TEST_CASE("gradient: softmax and log-softmax along every axis") {
  manual_seed(3);
  for (const Shape& shape :
       {Shape{1}, {5}, {1, 1}, {3, 4}, {1, 4}, {4, 1}, {2, 3, 4}, {2, 1, 3, 2}, {2, 9, 2}}) {
    for (int axis = -1; axis < shape.rank(); ++axis) {
      CAPTURE(shape.str());
      CAPTURE(axis);
      const Tensor x = randn(shape, 0, 2);
      CHECK(gradient_error([=](Tensor t) { return softmax(std::move(t), axis); }, x) == "");
      CHECK(gradient_error([=](Tensor t) { return log_softmax(std::move(t), axis); }, x) == "");
    }
  }
  for (const Shape& shape : {Shape{700, 33}, {2, 3, 9000}, {40, 33, 20}}) {
    CAPTURE(shape.str());
    const auto both = [](Tensor t) { return softmax(t, 1) * log_softmax(t, 1); };
    CHECK(directional_error(both, randn(shape)) == "");
  }
}

TEST_CASE("gradient: losses, by input and by target") {
  manual_seed(4);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor target = randn(shape), x = target + distinct(shape), probability = rand(shape);
    CHECK(gradient_error([](Tensor a, Tensor b) { return mse_loss(std::move(a), b); }, x, target) == "");
    CHECK(gradient_error([](Tensor a, Tensor b) { return l1_loss(std::move(a), b); }, x, target) == "");
    CHECK(gradient_error([](Tensor a, Tensor b) { return huber_loss(std::move(a), b); }, x, target) == "");
    CHECK(gradient_error([](Tensor a, Tensor b) { return huber_loss(std::move(a), b, real(0.5)); }, x,
                         target) == "");
    CHECK(gradient_error([](Tensor a, Tensor b) { return binary_cross_entropy_with_logits(std::move(a), b); },
                         x * real(2), probability) == "");
    CHECK(gradient_error([](Tensor a, Tensor b) { return kl_div(std::move(a), b); }, x,
                         probability + real(0.1)) == "");
    for (const Reduction reduction : {Reduction::sum, Reduction::none})
      CHECK(gradient_error([=](Tensor a, Tensor b) { return mse_loss(std::move(a), b, reduction); }, x,
                           target) == "");
  }
  for (const Shape& shape : {Shape{1, 1}, {1, 5}, {4, 1}, {3, 2}, {2, 3}, {5, 4}, {7, 3}, {2, 9}, {20, 3}}) {
    Labels labels(shape[0]);
    for (int64_t n = 0; n < shape[0]; ++n) labels[n] = static_cast<int32_t>(n * 7 % shape[1]);
    for (const real smoothing : {real(0), real(0.1), real(0.7), real(1)}) {
      CAPTURE(shape.str());
      CAPTURE(smoothing);
      CHECK(gradient_error(
                [&](Tensor t) { return cross_entropy(std::move(t), labels, {.label_smoothing = smoothing}); },
                randn(shape)) == "");
    }
  }
  const Labels labels_of_positions{0, 2, -100, 1, 1, 0, 2, 2};
  for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
    const CrossEntropyOptions options{
        .label_smoothing = real(0.2), .weights = tensor({real(0.5), 2, real(1.5)}), .reduction = reduction};
    for (const real smoothing : {real(0), real(0.2)}) {
      CrossEntropyOptions of_positions = options;
      of_positions.label_smoothing = smoothing;
      CHECK(gradient_error(
                [&](Tensor t) { return cross_entropy(std::move(t), labels_of_positions, of_positions); },
                randn({2, 3, 2, 2})) == "");
    }
    CHECK(gradient_error([&](Tensor t, Tensor p) { return soft_cross_entropy(std::move(t), p, options); },
                         randn({2, 3, 2}), rand({2, 3, 2})) == "");
  }
  const Tensor x = randn(large), target = randn(large), probability = rand(large);
  const auto scale = static_cast<real>(x.count());  // so that the means' 1/N doesn't make everything small
  CHECK(directional_error(
            [&](Tensor t) {
              return (mse_loss(t, target) + l1_loss(t, target) * real(2) + huber_loss(t, target) * real(3) +
                      binary_cross_entropy_with_logits(t, probability)) *
                     scale;
            },
            x) == "");
  Labels labels(2500);
  for (int64_t n = 0; n < labels.size(); ++n) labels[n] = static_cast<int32_t>(n % 10);
  CHECK(directional_error(
            [&](Tensor t) { return cross_entropy(t, labels, {.label_smoothing = real(0.1)}) * scale; },
            randn({2500, 10})) == "");
}
