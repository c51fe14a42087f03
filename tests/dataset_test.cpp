#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/data/dataset.h>
#include <ballast/data/digits.h>

#include "temp_folder.h"
#include "thrown.h"

using namespace ballast;

namespace {

/// Sample n is (n, -n), its label n mod 3.
Dataset numbers(int64_t size) {
  return {{2}, size, 3, [](int64_t n, real* x) {
            x[0] = static_cast<real>(n);
            x[1] = -x[0];
            return static_cast<int32_t>(n % 3);
          }};
}

/// What the first element of each sample says.
std::vector<int64_t> firsts(const Dataset& dataset) {
  std::vector<int64_t> all;
  for (int64_t n = 0; n < dataset.size; ++n) all.push_back(static_cast<int64_t>(dataset.sample(n).x[0]));
  return all;
}

}  // namespace

TEST_CASE("dataset: from tensors, whose memory it shares") {
  Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}});
  const Dataset dataset = from_tensors(x, Labels{0, 4, 2});
  CHECK(dataset.sample_shape == Shape{2});
  CHECK(dataset.size == 3);
  CHECK(dataset.classes == 5);
  CHECK(dataset.sample(1).label() == 4);
  CHECK(dataset.sample(1).x == std::vector<real>{3, 4});
  x(1, 0) = 9;
  CHECK(dataset.sample(1).x[0] == 9);
  CHECK(thrown<ValueError>([&] { dataset.sample(3); }) == "there is no sample 3 in a data set of 3");
  CHECK_THROWS_AS(dataset.sample(-1), ValueError);

  CHECK(thrown<ShapeError>([&] {
          from_tensors(x, Labels{0, 1});
        }) == "from_tensors: x is (3, 2) with 2 labels; it must be (N, ...) with N labels");
  CHECK_THROWS_AS(from_tensors(Tensor(real{1}), Labels{0}), ShapeError);
  CHECK(thrown<ValueError>([&] {
          from_tensors(x, Labels{0, 1, -1});
        }) == "from_tensors: the label of sample 2 is -1; it must be at least 0, or -100 (ignored_label)");
  CHECK_THROWS_AS(from_tensors(Tensor(Shape{0, 2}), Labels(0)), ValueError);
}

TEST_CASE("dataset: from bytes") {
  const Dataset dataset = from_bytes({0, 51, 255, 0, 0, 102}, {1, 0}, {1, 3}, 2);
  CHECK(dataset.size == 2);
  CHECK(dataset.sample(0).label() == 1);
  CHECK(dataset.sample(0).x == std::vector<real>{0, real{51} / 255, 1});
  CHECK(dataset.sample(1).label() == 0);
  CHECK(dataset.sample(1).x[2] == real{102} / 255);
  CHECK_THROWS_AS(from_bytes({0, 0, 0}, {0, 0}, {2}, 2), ShapeError);
  CHECK(thrown<ValueError>([] {
          from_bytes({0, 0}, {0, 2}, {1}, 2);
        }) == "from_bytes: the label of sample 1 is 2, with 2 classes");
}

TEST_CASE("dataset: a part of another") {
  const Dataset part = subset(numbers(10), 4, 3);
  CHECK(part.size == 3);
  CHECK(firsts(part) == std::vector<int64_t>{4, 5, 6});
  CHECK(part.sample(2).label() == 0);
  CHECK_THROWS_AS(subset(numbers(10), 8, 3), ValueError);
  CHECK_THROWS_AS(subset(numbers(10), -1, 3), ValueError);
  CHECK_THROWS_AS(subset(numbers(10), 0, -1), ValueError);

  const Dataset chosen = subset(numbers(10), {7, 2, 7});
  CHECK(firsts(chosen) == std::vector<int64_t>{7, 2, 7});
  CHECK(chosen.sample(1).label() == 2);
  CHECK(firsts(subset(chosen, 1, 2)) == std::vector<int64_t>{2, 7});
  CHECK_THROWS_AS(subset(numbers(10), {10}), ValueError);
  CHECK_THROWS_AS(subset(numbers(10), {-1}), ValueError);
}

TEST_CASE("dataset: the built-in digits are those that draw_digit draws, for any count") {
  const Split data = digits(200, 70, 3);
  CHECK(data.train.sample_shape == Shape{1, 28, 28});
  CHECK(data.train.size == 200);
  CHECK(data.test.size == 70);
  CHECK(data.train.classes == 10);
  std::array<uint8_t, digit_pixels> bytes{};
  for (const auto& [dataset, split] :
       {std::pair(data.train, DigitSplit::train), std::pair(data.test, DigitSplit::test)})
    for (int64_t n : {int64_t{0}, dataset.size - 1}) {
      const Sample sample = dataset.sample(n);
      CHECK(sample.label() == draw_digit(3, split, n, bytes.data()));
      CHECK(std::ranges::equal(sample.x, bytes,
                               [](real value, uint8_t byte) { return value == real(byte) / 255; }));
    }
}

TEST_CASE("dataset: MNIST from a folder") {
  const TempFolder folder;
  const auto header = [](char rank) { return std::string{0, 0, 8, rank}; };
  const auto size = [](char n) { return std::string{0, 0, 0, n}; };
  const auto save = [&](const std::string& name, char count, const std::string& pixels,
                        const std::string& labels) {
    write_bytes(folder / (name + "-images-idx3-ubyte"), header(3) + size(count) + size(1) + size(2) + pixels);
    write_bytes(folder / (name + "-labels-idx1-ubyte"), header(1) + size(count) + labels);
  };
  save("train", 2, "\x33\x66\x01\x02", "\x07\x03");
  save("t10k", 1, "\x05\x06", "\x02");
  const Split data = mnist(folder.path().string());
  CHECK(data.train.sample_shape == Shape{1, 1, 2});
  CHECK(data.train.size == 2);
  CHECK(data.test.size == 1);
  CHECK(data.train.classes == 10);
  CHECK(data.train.sample(0).label() == 7);
  CHECK(data.train.sample(0).x == std::vector<real>{real{0x33} / 255, real{0x66} / 255});
  CHECK(data.test.sample(0).label() == 2);
  save("t10k", 1, "\x05\x06", "\x0b");
  CHECK(mnist(folder.path().string()).train.classes == 12);
  CHECK_THROWS_AS(mnist(folder / "nowhere"), FileError);
}

TEST_CASE("dataset: numbers as targets") {
  const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}});
  const Dataset dataset = from_tensors(x, tensor({{7, 70, 700}, {8, 80, 800}, {9, 90, 900}}));
  CHECK(dataset.kind == TargetKind::values);
  CHECK(dataset.target_shape == Shape{3});
  CHECK(dataset.classes == 0);
  CHECK(dataset.outputs() == 3);
  const Sample sample = subset(dataset, 1, 2).sample(1);
  CHECK(sample.x == std::vector<real>{5, 6});
  CHECK(sample.values == std::vector<real>{9, 90, 900});
  CHECK(sample.labels.empty());
  CHECK_THROWS_AS(from_tensors(x, tensor({1, 2, 3})), ShapeError);
  CHECK(thrown<ShapeError>([&] {
          from_tensors(x, tensor({{1}, {2}}));
        }) == "from_tensors: x is (3, 2) with 2 rows of targets; it must be (N, ...) with N rows of targets");
}

TEST_CASE("dataset: a label per position as target") {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  const Dataset dataset = from_tensors(x, Labels{0, 1, 2, 3, 4, 0}, {3});
  CHECK(dataset.kind == TargetKind::positions);
  CHECK(dataset.size == 2);
  CHECK(dataset.classes == 5);
  CHECK(dataset.outputs() == 5);
  CHECK(dataset.sample(1).x == std::vector<real>{4, 5, 6});
  CHECK(dataset.sample(1).labels == std::vector<int32_t>{3, 4, 0});
  CHECK(thrown<ShapeError>([&] {
          from_tensors(x, Labels{0, 1, 2, 3}, {3});
        }) == "from_tensors: 4 labels for positions (3); there must be one for each position of each sample");
  CHECK_THROWS_AS(from_tensors(x, Labels{0, 1, 2}, {3}), ShapeError);
  CHECK(thrown<ValueError>([&] {
          from_tensors(x, Labels{0, 0, 0, 0, -1, 0}, {3});
        }) == "from_tensors: the label of sample 1 is -1; it must be at least 0, or -100 (ignored_label)");
}

TEST_CASE("dataset: labels that are to be ignored are no class") {
  const Tensor x = tensor({{1, 2}, {3, 4}});
  CHECK(from_tensors(x, Labels{ignored_label, 1}).classes == 2);
  const Dataset maps = from_tensors(x, Labels{0, ignored_label, ignored_label, 2}, {2});
  CHECK(maps.classes == 3);
  CHECK(maps.sample(0).labels == std::vector<int32_t>{0, -100});
  CHECK(thrown<ValueError>([&] {
          from_tensors(x, Labels{ignored_label, ignored_label});
        }) == "from_tensors: every label is -100, which is ignored");
}

TEST_CASE("dataset: a `read` that gives another kind of target than the data set has is an error") {
  Dataset dataset = numbers(4);
  dataset.kind = TargetKind::values;
  dataset.target_shape = {1};
  CHECK_THROWS_AS(dataset.sample(0), UsageError);
  dataset.kind = TargetKind::classes;
  dataset.read = [](const Reading&, real*, Target y) { y.values()[0] = 1; };
  CHECK_THROWS_AS(dataset.sample(0), UsageError);
}

TEST_CASE("dataset: augmentation follows from seed, epoch and index, and each step draws other numbers") {
  const auto noise = [](RandomStream& random, const Shape& shape, real* x) {
    for (int64_t n = 0; n < shape.count(); ++n) x[n] += static_cast<real>(random.uniform());
  };
  const Dataset once = augmented(numbers(5), noise), twice = augmented(once, noise);
  const auto noise_of = [](const Dataset& dataset, int64_t index, int64_t epoch, uint64_t seed) {
    return dataset.sample(index, epoch, seed).x[0] - static_cast<real>(index);
  };
  CHECK(once.sample(3).label() == 0);
  CHECK(noise_of(once, 3, 1, 7) == noise_of(once, 3, 1, 7));
  CHECK(noise_of(once, 3, 1, 7) != noise_of(once, 3, 2, 7));
  CHECK(noise_of(once, 3, 1, 7) != noise_of(once, 3, 1, 8));
  CHECK(noise_of(once, 3, 1, 7) != noise_of(once, 2, 1, 7));
  CHECK(noise_of(twice, 0, 1, 7) != 2 * noise_of(once, 0, 1, 7));
}

namespace {

/// 100 samples of class 0, 10 of class 1, 40 of class 2, mixed.
Dataset uneven() {
  Tensor x(Shape{150, 1});
  Labels y(150);
  for (int64_t n = 0; n < 150; ++n) {
    x(n, 0) = static_cast<real>(n);
    y[n] = n % 15 == 0 ? 1 : n % 15 > 10 ? 2 : 0;
  }
  return from_tensors(x, y);
}

}  // namespace

TEST_CASE("dataset: a validation part has its share of each class, and follows from the seed") {
  const Dataset all = uneven();
  const Split split = split_off(all, 0.2, 1);
  CHECK(split.test.size == 0);
  CHECK(split.train.size == 120);
  std::array<int, 3> counts{};
  for (int64_t n = 0; n < split.validation.size; ++n)
    ++counts[static_cast<size_t>(split.validation.sample(n).label())];
  CHECK(counts == std::array<int, 3>{20, 2, 8});

  std::vector<int64_t> both = firsts(split.train);
  const std::vector<int64_t> taken = firsts(split.validation);
  CHECK(std::is_sorted(taken.begin(), taken.end()));
  both.insert(both.end(), taken.begin(), taken.end());
  std::sort(both.begin(), both.end());
  CHECK(both == firsts(all));

  CHECK(firsts(split_off(all, 0.2, 1).validation) == taken);
  CHECK(firsts(split_off(all, 0.2, 2).validation) != taken);
}

TEST_CASE("dataset: a validation part of samples without classes, and fractions that leave none") {
  const Split split = split_off(from_tensors(randn({10, 2}), randn({10, 1})), 0.3);
  CHECK(split.validation.size == 3);
  CHECK(split.train.size == 7);
  for (const double fraction : {0.0, 1.0, -0.5, std::nan("")})
    CHECK_THROWS_AS(split_off(numbers(10), fraction), ValueError);
  CHECK(thrown<ValueError>([] { split_off(numbers(4), 0.1); }) ==
        "split_off: a fraction of 0.1 of 4 samples leaves a part empty");
  CHECK_THROWS_AS(split_off(numbers(4), 0.9), ValueError);
}
