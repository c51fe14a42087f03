#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include <ballast/data/digits.h>

using namespace ballast;

namespace {

using DigitImage = std::array<uint8_t, digit_pixels>;

struct Digit {
  int label;
  DigitImage image;
  bool operator==(const Digit&) const = default;
};

Digit draw(uint64_t seed, DigitSplit split, int64_t index) {
  Digit digit{};
  digit.label = draw_digit(seed, split, index, digit.image.data());
  return digit;
}

/// FNV-1a, 64 bits.
struct Hash {
  uint64_t value = 0xcbf29ce484222325;
  void add(uint8_t byte) { value = (value ^ byte) * 0x100000001b3; }
};

uint64_t hash_of_first_thousand(DigitSplit split) {
  Hash hash;
  for (int64_t n = 0; n < 1000; ++n) {
    const Digit digit = draw(0, split, n);
    hash.add(static_cast<uint8_t>(digit.label));
    for (uint8_t pixel : digit.image) hash.add(pixel);
  }
  return hash.value;
}

}  // namespace

TEST_CASE("digits: the same bytes on every machine") {
  // Whoever changes the drawing on purpose updates these, and makes sure again that the data are as hard as
  // they should be (a linear model below 90 %, a small convolutional network above 98 %).
  CHECK(hash_of_first_thousand(DigitSplit::train) == 16893050244492621557u);
  CHECK(hash_of_first_thousand(DigitSplit::test) == 10475632023099350800u);
}

TEST_CASE("digits: a sample depends on its seed, split and index alone") {
  const Digit first = draw(7, DigitSplit::train, 5);
  draw(7, DigitSplit::train, 6);
  CHECK(draw(7, DigitSplit::train, 5) == first);
  CHECK_FALSE(draw(8, DigitSplit::train, 5).image == first.image);
  CHECK_FALSE(draw(7 + (uint64_t{1} << 32), DigitSplit::train, 5).image == first.image);
  CHECK_FALSE(draw(7, DigitSplit::train, 6).image == first.image);
  CHECK_FALSE(draw(7, DigitSplit::train, 5 + (int64_t{1} << 32)).image == first.image);
  CHECK_FALSE(draw(7, DigitSplit::test, 5).image == first.image);
}

TEST_CASE("digits: no image twice, neither within a split nor across") {
  std::vector<DigitImage> images;
  for (DigitSplit split : {DigitSplit::train, DigitSplit::test})
    for (int64_t n = 0; n < 2000; ++n) images.push_back(draw(0, split, n).image);
  std::ranges::sort(images);
  CHECK(std::ranges::adjacent_find(images) == images.end());
}

TEST_CASE("digits: classes are balanced, each written in ink on a dark ground") {
  std::array<int, 10> counts{};
  for (int64_t n = 0; n < 5000; ++n) {
    const Digit digit = draw(1, DigitSplit::train, n);
    REQUIRE(digit.label >= 0);
    REQUIRE(digit.label < 10);
    ++counts[static_cast<size_t>(digit.label)];
    const auto ink = std::ranges::count_if(digit.image, [](uint8_t pixel) { return pixel > 128; });
    INFO("sample " << n << ", a " << digit.label);
    CHECK(ink >= 12);
    CHECK(ink <= 300);
  }
  // 500 expected, with a deviation of 21.
  for (int count : counts) {
    CHECK(count > 400);
    CHECK(count < 600);
  }
}
