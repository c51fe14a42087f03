#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/random.h>
#include <ballast/core/tape.h>
#include <ballast/data/evaluate.h>
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
