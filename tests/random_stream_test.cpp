// Random numbers of a reading's own.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/core/random.h>
#include <ballast/data/random_stream.h>

using namespace ballast;

namespace {

uint64_t first_of(RandomStream random) {
  const uint64_t high = random();
  return high << 32 | random();
}

}  // namespace

TEST_CASE("a stream is Philox's blocks, counted from 0") {
  RandomStream random(uint64_t{7} << 32 | 5, 3, 2);
  for (uint32_t block = 0; block < 3; ++block)
    for (const uint32_t word : philox({block, 3, 2, 33}, {5, 7})) CHECK(random() == word);
}

TEST_CASE("another seed, epoch, index or purpose is another stream, a copy is the same") {
  std::set<uint64_t> firsts;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32})
    for (const int64_t epoch : {0, 1})
      for (const int64_t index : {int64_t{0}, int64_t{1}, int64_t{1} << 32, int64_t{1} << 33})
        for (const RandomPurpose purpose : {RandomPurpose::reading, RandomPurpose::splitting})
          firsts.insert(first_of(RandomStream(seed, epoch, index, purpose)));
  CHECK(firsts.size() == 3 * 2 * 4 * 2);
  RandomStream random(1);
  random();
  CHECK(first_of(random) == first_of(random));
}

TEST_CASE("uniform numbers fill their interval evenly") {
  RandomStream random(1);
  std::array<int, 10> counts{};
  for (int n = 0; n < 10000; ++n) {
    const double x = random.uniform(-1, 4);
    REQUIRE((x >= -1 && x < 4));
    ++counts[static_cast<size_t>((x + 1) * 2)];
  }
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);  // 5 deviations
}

TEST_CASE("normal numbers are distributed normally, with the same bits on every machine") {
  RandomStream random(2);
  std::vector<double> all(20000);
  for (double& x : all) x = random.normal();
  std::sort(all.begin(), all.end());
  // Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is exceeded once in 1000 times.
  double distance = 0;
  for (size_t n = 0; n < all.size(); ++n) {
    const double below = std::erfc(-all[n] / std::sqrt(2.0)) / 2;
    distance = std::max(distance, std::abs(below - (static_cast<double>(n) + 0.5) / 20000));
  }
  CHECK(distance < 1.95 / std::sqrt(20000.0));

  RandomStream first(0), second(0);
  CHECK(first.normal(5, 2) == 5 + 2 * second.normal());
  RandomStream known(42);
  CHECK(known.normal() == -0x1.427fc7bbdb737p+0);
  CHECK(known.normal() == -0x1.22efc289ce06ap+0);
}

TEST_CASE("numbers below a count are as likely as one another") {
  RandomStream random(3);
  std::array<int, 7> counts{};
  for (int n = 0; n < 7000; ++n) ++counts[static_cast<size_t>(random.below(7))];
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);
  for (int n = 0; n < 100; ++n) CHECK(random.below(1) == 0);
  // Of 2^62 + 2^61 numbers, a remainder without rejection would give the lower half two thirds of all.
  const int64_t many = int64_t{3} << 61;
  int low = 0;
  for (int n = 0; n < 1000; ++n) low += random.below(many) < many / 2;
  CHECK(std::abs(low - 500) < 80);
  CHECK_THROWS_AS(random.below(0), ValueError);
}
