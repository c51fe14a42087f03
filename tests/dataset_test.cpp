#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <ballast/core/parallel.h>
#include <ballast/data/dataset.h>
#include <ballast/data/digits.h>
#include <ballast/data/loader.h>

#include "temp_folder.h"

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

/// The sample numbers a loop yields, having checked that samples and labels stay together.
template <class Batches>
std::vector<std::vector<int64_t>> read(Batches&& batches) {
  std::vector<std::vector<int64_t>> all;
  for (const Batch& batch : batches) {
    REQUIRE(batch.x.shape() == Shape{batch.y.size(), 2});
    auto& samples = all.emplace_back();
    for (int64_t n = 0; n < batch.y.size(); ++n) {
      samples.push_back(static_cast<int64_t>(batch.x(n, 0)));
      CHECK(batch.x(n, 1) == -batch.x(n, 0));
      CHECK(batch.y[n] == samples.back() % 3);
    }
  }
  return all;
}

std::vector<int64_t> joined(const std::vector<std::vector<int64_t>>& batches) {
  std::vector<int64_t> all;
  for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

std::vector<size_t> sizes(const std::vector<std::vector<int64_t>>& batches) {
  std::vector<size_t> all;
  for (const auto& batch : batches) all.push_back(batch.size());
  return all;
}

std::vector<int64_t> up_to(int64_t count) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), int64_t{0});
  return all;
}

template <class E>
std::string thrown(auto&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("dataset: from tensors, whose memory it shares") {
  Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}});
  const Dataset dataset = from_tensors(x, Labels{0, 4, 2});
  CHECK(dataset.sample_shape == Shape{2});
  CHECK(dataset.size == 3);
  CHECK(dataset.classes == 5);
  std::array<real, 2> sample{};
  CHECK(dataset.read(1, sample.data()) == 4);
  CHECK(sample == std::array<real, 2>{3, 4});
  x(1, 0) = 9;
  dataset.read(1, sample.data());
  CHECK(sample[0] == 9);

  CHECK(thrown<ShapeError>([&] {
          from_tensors(x, Labels{0, 1});
        }) == "from_tensors: x is (3, 2) with 2 labels; it must be (N, ...) with N labels");
  CHECK_THROWS_AS(from_tensors(Tensor(real{1}), Labels{0}), ShapeError);
  CHECK(thrown<ValueError>([&] {
          from_tensors(x, Labels{0, 1, -1});
        }) == "from_tensors: the label of sample 2 is -1; labels start at 0");
  CHECK_THROWS_AS(from_tensors(Tensor(Shape{0, 2}), Labels(0)), ValueError);
}

TEST_CASE("dataset: from bytes") {
  const Dataset dataset = from_bytes({0, 51, 255, 0, 0, 102}, {1, 0}, {1, 3}, 2);
  CHECK(dataset.size == 2);
  std::array<real, 3> sample{};
  CHECK(dataset.read(0, sample.data()) == 1);
  CHECK(sample == std::array<real, 3>{0, real{51} / 255, 1});
  CHECK(dataset.read(1, sample.data()) == 0);
  CHECK(sample[2] == real{102} / 255);
  CHECK_THROWS_AS(from_bytes({0, 0, 0}, {0, 0}, {2}, 2), ShapeError);
  CHECK(thrown<ValueError>([] {
          from_bytes({0, 0}, {0, 2}, {1}, 2);
        }) == "from_bytes: the label of sample 1 is 2, with 2 classes");
}

TEST_CASE("dataset: a part of another") {
  const Dataset part = subset(numbers(10), 4, 3);
  CHECK(joined(read(Loader(part, {.shuffle = false}))) == std::vector<int64_t>{4, 5, 6});
  CHECK_THROWS_AS(subset(numbers(10), 8, 3), ValueError);
  CHECK_THROWS_AS(subset(numbers(10), -1, 3), ValueError);
  CHECK_THROWS_AS(subset(numbers(10), 0, -1), ValueError);
}

TEST_CASE("dataset: the built-in digits are those that draw_digit draws, for any count") {
  const Split data = digits(200, 70, 3);
  CHECK(data.train.sample_shape == Shape{1, 28, 28});
  CHECK(data.train.size == 200);
  CHECK(data.test.size == 70);
  CHECK(data.train.classes == 10);
  std::array<real, digit_pixels> x{};
  std::array<uint8_t, digit_pixels> bytes{};
  for (const auto& [dataset, split] :
       {std::pair(data.train, DigitSplit::train), std::pair(data.test, DigitSplit::test)})
    for (int64_t n : {int64_t{0}, dataset.size - 1}) {
      CHECK(dataset.read(n, x.data()) == draw_digit(3, split, n, bytes.data()));
      CHECK(std::ranges::equal(x, bytes, [](real value, uint8_t byte) { return value == real(byte) / 255; }));
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
  std::array<real, 2> x{};
  CHECK(data.train.read(0, x.data()) == 7);
  CHECK(x == std::array<real, 2>{real{0x33} / 255, real{0x66} / 255});
  CHECK(data.test.read(0, x.data()) == 2);
  save("t10k", 1, "\x05\x06", "\x0b");
  CHECK(mnist(folder.path().string()).train.classes == 12);
  CHECK_THROWS_AS(mnist(folder / "nowhere"), FileError);
}

TEST_CASE("dataset: mean and deviation, and what they are for") {
  const Dataset few = from_tensors(tensor({{1, 2}, {3, 6}}), Labels{0, 1});
  CHECK(measure(few).mean == doctest::Approx(3).epsilon(1e-12));
  CHECK(measure(few).std == doctest::Approx(std::sqrt(3.5)).epsilon(1e-12));

  // A deviation of 1 at a mean of 4096, where the difference of two sums in single precision would be noise.
  const Dataset far{{1}, 1000, 1, [](int64_t n, real* x) { return *x = real(4096 + (n % 2 ? 1 : -1)), 0; }};
  CHECK(measure(far).mean == doctest::Approx(4096).epsilon(1e-12));
  CHECK(measure(far).std == doctest::Approx(1).epsilon(1e-9));

  const Dataset image = digits(100, 0).train;
  const Standardization before = measure(image), after = measure(standardized(image, before));
  CHECK(after.mean == doctest::Approx(0).epsilon(1e-5));
  CHECK(after.std == doctest::Approx(1).epsilon(1e-5));
  const int threads = num_threads();
  set_num_threads(3);
  const Standardization again = measure(image);
  set_num_threads(threads);
  CHECK(again.mean == before.mean);
  CHECK(again.std == before.std);

  CHECK_THROWS_AS(standardized(few, {1, 0}), ValueError);
  CHECK_THROWS_AS(measure(digits(0, 0).train), ValueError);
}

TEST_CASE("loader: in order, with a last partial batch or without") {
  Loader all(numbers(10), {.batch_size = 4, .shuffle = false});
  CHECK(all.batches() == 3);
  CHECK(all.dropped() == 0);
  const auto batches = read(all);
  CHECK(sizes(batches) == std::vector<size_t>{4, 4, 2});
  CHECK(joined(batches) == up_to(10));

  Loader full(numbers(10), {.batch_size = 4, .shuffle = false, .drop_last = true});
  CHECK(full.batches() == 2);
  CHECK(full.dropped() == 2);
  CHECK(joined(read(full)) == up_to(8));

  // 9 samples leave one over, which a batch norm couldn't normalize.
  Loader normed(numbers(9), {.batch_size = 4, .shuffle = false, .min_batch = 2});
  CHECK(normed.dropped() == 1);
  CHECK(sizes(read(normed)) == std::vector<size_t>{4, 4});
  CHECK(Loader(numbers(10), {.batch_size = 4, .min_batch = 2}).dropped() == 0);
  CHECK(Loader(numbers(8), {.batch_size = 4, .drop_last = true}).batches() == 2);
}

TEST_CASE("loader: the order is a function of seed and epoch, the same on every machine") {
  Loader loader(numbers(10), {.batch_size = 4, .seed = 1});
  const auto first = joined(read(loader));
  CHECK(first == std::vector<int64_t>{4, 7, 1, 9, 8, 0, 6, 5, 3, 2});
  CHECK(loader.epoch == 1);
  const auto second = joined(read(loader));
  CHECK(second != first);
  for (auto order : {first, second}) {
    std::ranges::sort(order);
    CHECK(order == up_to(10));
  }
  loader.epoch = 0;
  CHECK(joined(read(loader)) == first);
  CHECK(joined(read(Loader(numbers(10), {.batch_size = 3, .seed = 1}))) == first);
  CHECK(joined(read(Loader(numbers(10), {.batch_size = 4, .seed = 2}))) != first);
}

TEST_CASE("loader: every order is as likely as any other") {
  Loader loader(numbers(4), {.batch_size = 4});
  std::map<std::vector<int64_t>, int> counts;
  for (int epoch = 0; epoch < 12000; ++epoch) ++counts[joined(read(loader))];
  CHECK(counts.size() == 24);
  // Chi-squared with 23 degrees of freedom exceeds 60 once in 30,000 times.
  double distance = 0;
  for (const auto& [order, count] : counts) distance += (count - 500.0) * (count - 500.0) / 500;
  CHECK(distance < 60);
}

TEST_CASE("loader: starting in mid-epoch goes on as if never interrupted") {
  Loader loader(numbers(100), {.batch_size = 8, .seed = 5});
  loader.epoch = 3;
  const auto whole = read(loader);
  Loader resumed(numbers(100), {.batch_size = 8, .seed = 5});
  resumed.epoch = 3;
  const auto rest = read(resumed.from_batch(9));
  CHECK(rest == std::vector(whole.begin() + 9, whole.end()));
  CHECK(resumed.epoch == 4);
  CHECK(read(resumed) == read(loader));

  CHECK(read(resumed.from_batch(13)).empty());
  CHECK_THROWS_AS(resumed.from_batch(14), ValueError);
  CHECK_THROWS_AS(resumed.from_batch(-1), ValueError);
}

TEST_CASE("loader: after a loop left early the next one begins another epoch") {
  Loader loader(numbers(100), {.batch_size = 8});
  const auto first_batch = [&] {
    for (const Batch& batch : loader) return std::vector<int32_t>(batch.y.begin(), batch.y.end());
    return std::vector<int32_t>();
  };
  const auto first = first_batch(), second = first_batch();
  CHECK(first != second);
  CHECK(loader.epoch == 2);
  loader.epoch = 0;
  CHECK(first_batch() == first);
}

TEST_CASE("loader: a batch that is kept isn't overwritten by the next") {
  Loader loader(numbers(12), {.batch_size = 4, .shuffle = false});
  std::vector<Batch> kept;
  for (const Batch& batch : loader) kept.push_back(batch);
  REQUIRE(kept.size() == 3);
  for (int64_t k = 0; k < 3; ++k) {
    CHECK(kept[static_cast<size_t>(k)].x(0, 0) == real(4 * k));
    CHECK(kept[static_cast<size_t>(k)].y[1] == (4 * k + 1) % 3);
  }
}

TEST_CASE("loader: bad labels, bad options and errors while reading") {
  Dataset wrong = numbers(50);
  wrong.classes = 2;
  const auto run = [](Dataset dataset) {
    Loader loader(std::move(dataset), {.batch_size = 4, .shuffle = false});
    for (const Batch& batch : loader) CHECK(batch.y.size() > 0);
  };
  CHECK(thrown<ValueError>([&] { run(wrong); }) == "the label of sample 2 is 2; it must be in 0 ... 1");
  wrong.read = [](int64_t n, real*) { return n == 9 ? -1 : 0; };
  CHECK(thrown<ValueError>([&] { run(wrong); }) == "the label of sample 9 is -1; it must be in 0 ... 1");
  wrong.read = [](int64_t n, real*) -> int32_t {
    return n < 40 ? 0 : throw std::runtime_error("no such sample");
  };
  CHECK(thrown<std::runtime_error>([&] { run(wrong); }) == "no such sample");

  CHECK(thrown<ValueError>([] { Loader(numbers(0)); }) == "Loader: the data set is empty");
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 0}), ValueError);
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 8, .drop_last = true}), ValueError);
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 1, .min_batch = 2}), ValueError);
}
