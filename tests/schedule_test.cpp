#include <doctest/doctest.h>

#include <ballast/optim/schedule.h>

using namespace ballast;

TEST_CASE("schedule: one cycle keeps its last rate when training goes on") {
  const Schedule rate = schedule::one_cycle(1, 10);
  CHECK(rate(10) == rate(9));
  CHECK(rate(1000) == rate(9));
}

TEST_CASE("plateau: the rate falls after `patience` calls without progress, as in PyTorch") {
  Plateau plateau({.factor = 0.5, .patience = 2, .threshold = 0.1, .min_lr = 0.2});
  double lr = 1;
  const auto after = [&](double loss) { return lr = plateau(loss, lr); };
  CHECK(after(10) == 1);
  CHECK(after(9.5) == 1);  // less than a tenth better: waited 1
  CHECK(after(9.1) == 1);  // 2
  CHECK(after(9.1) == 0.5);
  CHECK(after(8) == 0.5);  // progress
  CHECK(plateau.waited == 0);
  for (int i = 0; i < 3; ++i) after(8);
  CHECK(lr == 0.25);
  for (int i = 0; i < 3; ++i) after(8);
  CHECK(lr == 0.2);  // min_lr
  for (int i = 0; i < 3; ++i) after(8);
  CHECK(lr == 0.2);
  Plateau accuracy({.patience = 0, .maximize = true});
  CHECK(accuracy(0.5, 1) == 1);
  CHECK(accuracy(0.6, 1) == 1);
  CHECK(accuracy(0.55, 1) == doctest::Approx(0.1));
}

TEST_CASE("plateau: progress starts the waiting over") {
  Plateau plateau({.factor = 0.5, .patience = 1});
  double lr = 1;
  for (const double loss : {10.0, 10.0, 5.0, 5.0}) lr = plateau(loss, lr);
  CHECK(lr == 1);
  CHECK(plateau(5, lr) == 0.5);
}
