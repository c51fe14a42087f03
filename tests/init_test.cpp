#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <ballast/layers/init.h>

using namespace ballast;

namespace {

/// The largest value and the standard deviation of many draws for a weight of 20 outputs and 30 inputs of 2 x
/// 5 taps.
struct Drawn {
  double largest = 0, deviation = 0;

  template <class Initialize>
  explicit Drawn(Initialize initialize) {
    manual_seed(3);
    Parameter weight(zeros({20, 30, 2, 5}));
    initialize(weight);
    for (const real w : weight.value().values()) {
      largest = std::max(largest, std::abs(double{w}));
      deviation += double{w} * w / static_cast<double>(weight.count());
    }
    deviation = std::sqrt(deviation);
  }
};

}  // namespace

TEST_CASE("initializers draw from the spread that their papers give") {
  const double fan_in = 30 * 10, fan_out = 20 * 10, a = 0.5;
  const auto kaiming = std::sqrt(2 / ((1 + a * a) * fan_in)), xavier = std::sqrt(2 / (fan_in + fan_out));
  const auto near = [](double value) { return doctest::Approx(value).epsilon(0.03); };
  const Drawn he([&](Parameter& w) { kaiming_uniform(w, a); });
  CHECK(he.deviation == near(kaiming));
  CHECK(he.largest == near(std::sqrt(3) * kaiming));
  CHECK(Drawn([&](Parameter& w) { kaiming_normal(w, a); }).deviation == near(kaiming));
  const Drawn glorot([](Parameter& w) { xavier_uniform(w); });
  CHECK(glorot.deviation == near(xavier));
  CHECK(glorot.largest == near(std::sqrt(3) * xavier));
  CHECK(Drawn([](Parameter& w) { xavier_normal(w); }).deviation == near(xavier));
}
