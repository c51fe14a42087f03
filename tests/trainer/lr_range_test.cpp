// The learning rate range test: on a quadratic, where the rate that diverges is known, and on a run.
#include "trainer/lr_range.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "state_of.h"

using namespace ballast;
using namespace ballast::app;

TEST_CASE(
    "range test: the loss of gradient descent on a quadratic of curvature L falls up to the rate 2 / L") {
  for (const double curvature : {0.5, 40.0, 3000.0}) {
    CAPTURE(curvature);
    double x = 1;  // L/2 x^2: a step multiplies x by 1 - lr L
    const auto step = [&](double lr) {
      const double loss = curvature / 2 * x * x;
      x *= 1 - lr * curvature;
      return loss;
    };
    const std::vector<LrTrial> trials = lr_range(step, {.from = 1e-6, .to = 1e4, .steps = 401});
    CHECK(trials[0].lr == 1e-6);
    CHECK(trials[40].lr == doctest::Approx(1e-5));
    CHECK(trials[0].loss == curvature / 2);  // before the step
    CHECK(trials[0].smoothed == doctest::Approx(trials[0].loss));
    CHECK(trials[1].smoothed == doctest::Approx((0.9 * trials[0].loss + trials[1].loss) / 1.9));
    const auto least = std::ranges::min_element(trials, {}, &LrTrial::loss);
    REQUIRE(least != trials.begin());
    CHECK((least - 1)->lr < 2 / curvature);
    CHECK(least->lr >= 2 / curvature);
    CHECK(trials.size() < 401);  // it ends where the loss has grown again
    CHECK(trials.back().smoothed > 4 * least_loss(trials).smoothed);
    CHECK(suggested_lr(trials) == doctest::Approx(least_loss(trials).lr / 3).epsilon(0.05));
  }
}

TEST_CASE("range test: it ends where the loss isn't finite, and says so where nothing is learned") {
  std::vector<double> losses = {4, 3, std::numeric_limits<double>::quiet_NaN(), 2};
  size_t at = 0;
  const auto step = [&](double) { return losses.at(at++); };
  CHECK(lr_range(step).size() == 2);
  losses = {4, 5, 6, std::numeric_limits<double>::infinity()};
  at = 0;
  CHECK_THROWS_WITH_AS(
      suggested_lr(lr_range(step)),
      "--lr-find: no learning rate from 1e-07 to 1.5e-07 made the loss fall; are the data and "
      "their labels what they should be?",
      ValueError);
  CHECK_THROWS_AS(suggested_lr({}), ValueError);
}

TEST_CASE("range test: the run trains afterwards as if there had been none") {
  TrainOptions options;
  options.data.train_size = 100;
  options.data.test_size = 20;
  options.model.model = "flatten, linear 8, norm, act, dropout 0.2, linear";
  options.training.batch_size = 16;
  options.training.accumulate = 2;  // 4 steps per epoch, so the test takes several
  options.training.ema = 0.9;
  options.training.epochs = 1;
  options.given = {"model"};
  validate(options);
  const auto train = [](Run& run) {
    random_state() = run.at.random;
    run.loader.epoch = run.at.epoch;
    for (const Batch& batch : run.loader) run.train_on(batch);
  };
  Run plain(options), tested(options);
  const std::vector<real> before = state_of(tested);
  train(plain);
  const RandomState random = random_state();
  const std::vector<LrTrial> trials = lr_range(tested);
  CHECK(random_state().tapes == random.tapes);
  CHECK(trials.size() > 50);
  CHECK(least_loss(trials).smoothed < 0.9 * trials[0].smoothed);  // it has learned
  CHECK(state_of(tested) == before);
  CHECK(tested.at.step == 0);
  train(tested);
  CHECK(state_of(tested) == state_of(plain));
}
