// Means and deviations, and samples standardized with them.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/data/standardization.h>

#include "threads.h"

using namespace ballast;

TEST_CASE("one mean and deviation for all values") {
  const Dataset few = from_tensors(tensor({{1, 2}, {3, 6}}), Labels{0, 1});
  CHECK(measure(few).mean[0] == doctest::Approx(3).epsilon(1e-12));
  CHECK(measure(few).std[0] == doctest::Approx(std::sqrt(3.5)).epsilon(1e-12));

  // A deviation of 1 at a mean of 4096, where the difference of two sums in single precision would be noise.
  const Dataset far{{1}, 1000, 1, [](int64_t n, real* x) { return *x = real(4096 + (n % 2 ? 1 : -1)), 0; }};
  CHECK(measure(far).mean[0] == doctest::Approx(4096).epsilon(1e-12));
  CHECK(measure(far).std[0] == doctest::Approx(1).epsilon(1e-9));

  const Dataset image = digits(100, 0).train;
  const Standardization before = measure(image), after = measure(standardized(image, before));
  CHECK(after.mean[0] == doctest::Approx(0).epsilon(1e-5));
  CHECK(after.std[0] == doctest::Approx(1).epsilon(1e-5));
  const Threads three(3);
  const Standardization again = measure(image);
  CHECK(again.mean == before.mean);
  CHECK(again.std == before.std);

  CHECK_THROWS_AS(standardized(few, {{1}, {0}}), ValueError);
  CHECK_THROWS_AS(measure(digits(0, 0).train), ValueError);
}

TEST_CASE("a mean and a deviation for each channel") {
  // (2 channels, 2 values): channel 0 holds 1, 3, 5, 7, channel 1 holds 10 each time.
  Tensor x(Shape{2, 2, 2});
  const std::vector<real> values = {1, 3, 10, 10, 5, 7, 10, 10};
  std::copy(values.begin(), values.end(), x.data());
  const Dataset data = from_tensors(x, Labels{0, 1});
  const Standardization found = measure_channels(data);
  REQUIRE(found.mean.size() == 2);
  REQUIRE(found.std.size() == 2);
  CHECK(found.mean[0] == doctest::Approx(4).epsilon(1e-12));
  CHECK(found.std[0] == doctest::Approx(std::sqrt(5.0)).epsilon(1e-12));
  CHECK(found.mean[1] == doctest::Approx(10).epsilon(1e-12));
  CHECK(found.std[1] == 1);
  const Sample sample = standardized(data, found).sample(1);
  CHECK(sample.label() == 1);
  CHECK(sample.x[0] == doctest::Approx(1 / std::sqrt(5.0)).epsilon(1e-6));
  CHECK(sample.x[1] == doctest::Approx(3 / std::sqrt(5.0)).epsilon(1e-6));
  CHECK(sample.x[2] == 0);
  CHECK(sample.x[3] == 0);

  CHECK(standardized(data, {{1}, {2}}).sample(0).x == std::vector<real>{0, 1, real(4.5), real(4.5)});
  CHECK_THROWS_AS(standardized(data, {{1, 2, 3}, {1, 1, 1}}), ValueError);
  CHECK_THROWS_AS(standardized(data, {{1, 2}, {1}}), ValueError);
  CHECK_THROWS_AS(standardized(data, {{}, {}}), ValueError);
  CHECK_THROWS_AS(standardized(data, {{0, 0}, {1, 0}}), ValueError);
}

TEST_CASE("columns of many samples are measured to the same bits on any number of threads") {
  const Dataset data = from_tensors(randn({1000, 3}), Labels(std::vector<int32_t>(1000)));
  const Standardization one = measure_channels(data);
  const Threads three(3);
  const Standardization several = measure_channels(data);
  CHECK(one.mean == several.mean);
  CHECK(one.std == several.std);
  const Standardization after = measure_channels(standardized(data, one));
  for (const double mean : after.mean) CHECK(std::abs(mean) < 1e-6);
  for (const double std : after.std) CHECK(std == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("the targets of a regression are standardized per column, a constant one to 0") {
  const Dataset data =
      from_tensors(tensor({{0}, {0}, {0}, {0}}), tensor({{1000, 7}, {3000, 7}, {1000, 7}, {3000, 7}}));
  const Standardization found = measure_targets(data);
  CHECK(found.mean[0] == doctest::Approx(2000));
  CHECK(found.std[0] == doctest::Approx(1000));
  CHECK(found.std[1] == 1);
  const Dataset standard = standardized_targets(data, found);
  CHECK(standard.sample(0).values[0] == doctest::Approx(-1));
  CHECK(standard.sample(1).values[0] == doctest::Approx(1));
  CHECK(std::abs(standard.sample(1).values[1]) < 1e-6);
  CHECK_THROWS_AS(standardized_targets(data, {{0}, {1}}), ValueError);
  CHECK_THROWS_AS(measure_targets(from_tensors(tensor({{0}, {0}}), Labels{0, 1})), UsageError);
}
