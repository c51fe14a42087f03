#include <doctest/doctest.h>

#include <ballast/optim/schedule.h>

using namespace ballast;

TEST_CASE("schedule: one cycle keeps its last rate when training goes on") {
  const Schedule rate = schedule::one_cycle(1, 10);
  CHECK(rate(10) == rate(9));
  CHECK(rate(1000) == rate(9));
}
