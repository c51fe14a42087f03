#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/random.h>
#include <ballast/core/tape.h>
#include <ballast/data/evaluate.h>
#include <ballast/data/score.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/sequential.h>

using namespace ballast;

namespace {

Dataset points(int64_t count) {
  Labels y(count);
  for (int64_t n = 0; n < count; ++n) y[n] = static_cast<int32_t>(n % 3);
  return from_tensors(randn({count, 4}), y);
}

Sequential net() { return Sequential(Linear(4, 6), BatchNorm1d(6), Dropout(0.5), Linear(6, 3)); }

}  // namespace

TEST_CASE("evaluate gives the mean cross-entropy and counts the right answers") {
  const Dataset data = from_tensors(tensor({{2, 0}, {0, 1}, {3, 1}}), Labels{0, 0, 1});
  struct Identity : Module {
    Tensor forward(Tensor x) override { return x; }
  } identity;
  const Evaluation result = evaluate(identity, data, 2);
  CHECK(result.correct == 1);
  CHECK(result.size == 3);
  const double expected =
      (std::log1p(std::exp(-2.0)) + std::log1p(std::exp(1.0)) + std::log1p(std::exp(2.0))) / 3;
  CHECK(result.loss == doctest::Approx(expected).epsilon(1e-6));
  CHECK(accuracy(identity, data) == doctest::Approx(1.0 / 3));
}

TEST_CASE("the batch size of an evaluation changes nothing but its speed") {
  manual_seed(3);
  const Dataset data = points(50);
  Sequential model = net();
  const Evaluation one = evaluate(model, data, 1), many = evaluate(model, data, 7),
                   all = evaluate(model, data, 50);
  CHECK(one.correct == all.correct);
  CHECK(many.correct == all.correct);
  CHECK(one.loss == doctest::Approx(all.loss).epsilon(1e-5));
  CHECK(many.size == 50);
}

TEST_CASE("evaluating between forward and backward changes no bit of the training") {
  const auto trained_gradient = [](bool evaluating) {
    manual_seed(5);
    const Dataset data = points(30);
    Sequential model = net();
    Tape tape;
    const Tensor x = randn({8, 4});
    Tensor loss = cross_entropy(model(x), Labels{0, 1, 2, 0, 1, 2, 0, 1});
    if (evaluating) accuracy(model, data);
    loss = loss + cross_entropy(model(x), Labels{0, 1, 2, 0, 1, 2, 0, 1});
    tape.backward(loss);
    Tensor state = static_cast<Linear&>(model[0]).weight.grad().clone();
    const Tensor mean = static_cast<BatchNorm1d&>(model[1]).running_mean.value().clone();
    return std::pair(state, mean);
  };
  const auto plain = trained_gradient(false), mixed = trained_gradient(true);
  const auto same = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.data(), b.data(), a.values().size_bytes()) == 0;
  };
  CHECK(same(plain.first, mixed.first));
  CHECK(same(plain.second, mixed.second));
}

namespace {

struct Same : Module {
  Tensor forward(Tensor x) override { return x; }
};

}  // namespace

TEST_CASE("evaluate gives the errors of regression") {
  // Predictions are the samples. Column 0: errors 1, 0, -2 at targets 0, 2, 7 (mean 3, squares 26); column 1:
  // constant targets that are missed.
  const Dataset data = from_tensors(tensor({{1, 4}, {2, 5}, {5, 5}}), tensor({{0, 5}, {2, 5}, {7, 5}}));
  Same identity;
  const Evaluation result = evaluate(identity, data, 2);
  CHECK(result.loss == doctest::Approx(6.0 / 6));
  CHECK(result.absolute_error == doctest::Approx(4.0 / 6));
  CHECK(result.r2 == doctest::Approx((1 - 5.0 / 26 + 0) / 2));
  CHECK(result.size == 6);
  CHECK(evaluate(identity, from_tensors(tensor({{1}, {1}}), tensor({{1}, {1}}))).r2 == 1);
  CHECK_THROWS_AS(evaluate(identity, from_tensors(tensor({{1}, {1}}), tensor({{1, 2}, {1, 2}}))), ShapeError);
  CHECK_THROWS_AS(accuracy(identity, data), UsageError);
}

TEST_CASE("evaluate gives the mean over all positions of all samples") {
  // Logits (3 samples, 2 classes, 2 positions).
  Tensor logits(Shape{3, 2, 2});
  const std::vector<real> values = {2, 0, 0, 1, 0, 3, 1, 0, 5, 5, 0, 0};
  std::copy(values.begin(), values.end(), logits.data());
  const Labels labels{0, 1, 0, 0, 1, 0};
  const Dataset data = from_tensors(logits, labels, {2});
  Same identity;
  const Evaluation result = evaluate(identity, data, 2);
  double loss = 0;
  int correct = 0;
  for (int64_t n = 0; n < 3; ++n)
    for (int64_t p = 0; p < 2; ++p) {
      const int32_t label = labels[2 * n + p];
      const double margin = double{logits(n, label, p)} - logits(n, 1 - label, p);
      loss += std::log1p(std::exp(-margin));
      correct += margin > 0;
    }
  CHECK(correct == 4);
  CHECK(result.correct == correct);
  CHECK(result.size == 6);
  CHECK(result.accuracy() == doctest::Approx(4.0 / 6));
  CHECK(result.loss == doctest::Approx(loss / 6).epsilon(1e-6));
  CHECK(evaluate(identity, data, 1).loss == doctest::Approx(result.loss).epsilon(1e-6));
}

TEST_CASE("evaluate counts the labels that aren't ignored") {
  // Logits (4 samples, 2 classes) of margin 0.5, -1, 2, 3 for class 0; the last two samples are a batch of
  // ignored labels alone.
  const Tensor x = tensor({{0.5, 0}, {0, 1}, {2, 0}, {3, 0}, {1, 0}, {0, 1}});
  Same identity;
  const auto check = [&](const Evaluation& found) {
    CHECK(found.size == 3);
    CHECK(found.correct == 2);
    CHECK(found.accuracy() == doctest::Approx(2.0 / 3));
    const double loss = (std::log1p(std::exp(-0.5)) + std::log1p(std::exp(-1)) + std::log1p(std::exp(3))) / 3;
    CHECK(found.loss == doctest::Approx(loss).epsilon(1e-6));
  };
  const int32_t none = ignored_label;
  for (const int64_t batch_size : {1, 2, 6}) {
    CAPTURE(batch_size);
    check(evaluate(identity, from_tensors(x, Labels{0, 1, none, 1, none, none}), batch_size));
    // The same logits as those of 3 samples with 2 positions.
    Tensor maps(Shape{3, 2, 2});
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t k = 0; k < 2; ++k) maps.data()[i / 2 * 4 + k * 2 + i % 2] = x(i, k);
    check(evaluate(identity, from_tensors(maps, Labels{0, 1, none, 1, none, none}, {2}), batch_size));
  }
  Dataset data = from_tensors(x, Labels{0, 1, none, 1, none, none});
  CHECK_THROWS_WITH_AS(evaluate(identity, subset(data, 4, 2)),
                       "evaluate: every label is -100, which is ignored", ValueError);
  CHECK(accuracy(x, Labels{0, 1, none, 1, none, none}) == doctest::Approx(2.0 / 3));
  CHECK_THROWS_AS(accuracy(x, Labels{none, none, none, none, none, none}), ValueError);
}

TEST_CASE("score: losses that train, by what the targets are") {
  const auto gradient_of = [](const Batch& batch, const Shape& shape) {
    Parameter p{zeros(shape)};
    Tape tape;
    const Score found = score(p.value() + real{0}, batch);
    tape.backward(found.loss);
    return std::pair(found.loss.item(), p.grad().clone());
  };
  const Tensor x = zeros({2, 3});
  const auto [squared, by_value] =
      gradient_of({.x = x, .y = {}, .values = tensor({{1}, {3}}), .kind = TargetKind::values}, {2, 1});
  CHECK(squared == 5);
  CHECK(by_value(1, 0) == doctest::Approx(-3));
  const auto [entropy, by_logit] = gradient_of(
      {.x = x, .y = Labels{0, 1, 2, 2, 1, 0}, .values = {}, .kind = TargetKind::positions}, {2, 4, 3});
  CHECK(entropy == doctest::Approx(std::log(4.0)));
  CHECK(by_logit(1, 2, 0) == doctest::Approx((0.25 - 1) / 6));  // sample 1, position 0 has label 2
  CHECK(by_logit(1, 2, 1) == doctest::Approx(0.25 / 6));

  const Batch maps{.x = x, .y = Labels{0, 1, 2, 2, 1, 0}, .values = {}, .kind = TargetKind::positions};
  CHECK_THROWS_AS(score(zeros({2, 4}), maps), ShapeError);
  CHECK_THROWS_AS(score(zeros({2, 4, 4}), maps), ShapeError);
  CHECK_THROWS_AS(score(zeros({3, 4, 2}), maps), ShapeError);
}

TEST_CASE("score smooths labels as cross_entropy does, of positions too") {
  const Tensor logits = tensor({{2, 0, 1}, {0, 1, 3}});
  const Batch classes{.x = zeros({2, 1}), .y = Labels{0, 1}, .values = {}};
  CHECK(score(logits, classes, real(0.3)).loss.item() ==
        cross_entropy(logits, Labels{0, 1}, {.label_smoothing = real(0.3)}).item());
  CHECK(score(logits, classes, real(0.3)).loss.item() != score(logits, classes).loss.item());
  const Batch position{.x = zeros({2, 1}), .y = Labels{0, 1}, .values = {}, .kind = TargetKind::positions};
  CHECK(score(reshape(logits, {2, 3, 1}), position, real(0.3)).loss.item() ==
        score(logits, classes, real(0.3)).loss.item());
}
