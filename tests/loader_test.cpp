// Loader: which batches, in which order, read by whom.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ballast/core/parallel.h>
#include <ballast/data/loader.h>

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

}  // namespace

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
  CHECK(thrown<ValueError>([&] { run(wrong); }) ==
        "the label of sample 2 is 2; it must be in 0 ... 1, or -100 (ignored_label)");
  wrong.read = [](int64_t n, real*) { return n == 9 ? -1 : 0; };
  CHECK(thrown<ValueError>([&] { run(wrong); }) ==
        "the label of sample 9 is -1; it must be in 0 ... 1, or -100 (ignored_label)");
  wrong.read = [](int64_t n, real*) -> int32_t {
    return n < 40 ? 0 : throw std::runtime_error("no such sample");
  };
  CHECK(thrown<std::runtime_error>([&] { run(wrong); }) == "no such sample");

  CHECK(thrown<ValueError>([] { Loader(numbers(0)); }).starts_with("Loader: the data set is empty"));
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 0}), ValueError);
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 8, .drop_last = true}), ValueError);
  CHECK_THROWS_AS(Loader(numbers(5), {.batch_size = 1, .min_batch = 2}), ValueError);
}

namespace {

using Numbers = std::vector<real>;

/// Samples with noise of their own, of which some take longer to read.
Dataset noisy(int64_t size) {
  Dataset dataset = numbers(size);
  dataset.read = [](const Reading& reading, real* x, Target y) {
    if (reading.index % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    x[0] = static_cast<real>(reading.index) + static_cast<real>(reading.random.normal());
    x[1] = static_cast<real>(reading.epoch);
    *y.labels() = static_cast<int32_t>(reading.index % 3);
  };
  return dataset;
}

Numbers all_of(auto&& batches) {
  Numbers all;
  for (const Batch& batch : batches) {
    all.insert(all.end(), batch.x.data(), batch.x.data() + batch.x.count());
    for (const int32_t label : batch.y) all.push_back(static_cast<real>(label));
  }
  return all;
}

}  // namespace

TEST_CASE("loader: a reading's random numbers follow from seed, epoch and index") {
  const Dataset data = noisy(20);
  Loader loader(data, {.batch_size = 6, .seed = 4});
  for (int64_t epoch = 0; epoch < 2; ++epoch)
    for (const Batch& batch : loader)
      for (int64_t n = 0; n < batch.size(); ++n) {
        bool found = false;
        for (int64_t index = 0; index < 20; ++index)
          found |= data.sample(index, epoch, 4).x == Numbers{batch.x(n, 0), batch.x(n, 1)};
        CHECK(found);
      }
}

TEST_CASE("loader: workers read the same bits as the loop itself, in any number, from any batch on") {
  Loader plain(noisy(103), {.batch_size = 8, .seed = 4});
  const Numbers first = all_of(plain), second = all_of(plain);
  CHECK(first != second);
  plain.epoch = 1;
  const Numbers rest = all_of(plain.from_batch(5));
  for (const int workers : {1, 2, 5})
    for (const int prefetch : {1, 2, 20}) {
      CAPTURE(workers);
      CAPTURE(prefetch);
      Loader loader(noisy(103), {.batch_size = 8, .seed = 4, .workers = workers, .prefetch = prefetch});
      CHECK(all_of(loader) == first);
      CHECK(all_of(loader) == second);
      loader.epoch = 1;
      CHECK(all_of(loader.from_batch(5)) == rest);
      CHECK(all_of(loader.from_batch(13)).empty());
    }
}

TEST_CASE("loader: workers read in threads of their own, as far ahead as told and no further") {
  std::atomic<int> reads = 0, here = 0;
  Dataset data = numbers(100);
  data.read = [&, caller = std::this_thread::get_id()](int64_t, real*) {
    here += std::this_thread::get_id() == caller;
    ++reads;
    return 0;
  };
  Loader loader(data, {.batch_size = 10, .workers = 3, .prefetch = 2});
  int taken = 0;
  for (const Batch& batch : loader) {
    CHECK(batch.size() == 10);
    ++taken;
    const int ahead = std::min(taken + 2, 10) * 10;
    while (reads < ahead) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(reads == ahead);
  }
  CHECK(taken == 10);
  CHECK(here == 0);
}

TEST_CASE(
    "loader: what a worker throws comes out of the loop, of the first sample that fails, after the batches "
    "before") {
  Dataset data = numbers(60);
  data.read = [](int64_t n, real*) -> int32_t {
    // Sample 31 fails late, so that those after it fail before.
    if (n == 31) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return n < 31 ? 0 : throw std::runtime_error("sample " + std::to_string(n));
  };
  for (const int workers : {1, 4}) {
    Loader loader(data, {.batch_size = 10, .shuffle = false, .workers = workers});
    int batches = 0;
    CHECK(thrown<std::runtime_error>([&] {
            for (const Batch& batch : loader) batches += batch.size() == 10;
          }) == "sample 31");
    CHECK(batches == 3);
  }
  data.read = [](int64_t n, real*) { return n == 25 ? 3 : 0; };
  CHECK(thrown<ValueError>([&] {
          all_of(Loader(data, {.batch_size = 10, .shuffle = false, .workers = 2}));
        }) == "the label of sample 25 is 3; it must be in 0 ... 2, or -100 (ignored_label)");
}

TEST_CASE("loader: a loop with workers may end early, and none reads after it") {
  std::atomic<int> reads = 0;
  Dataset data = numbers(1000);
  data.read = [&](int64_t, real*) { return ++reads, 0; };
  Loader loader(data, {.batch_size = 10, .workers = 3, .prefetch = 4});
  for (int loop = 0; loop < 3; ++loop) {
    for (const Batch& batch : loader)
      if (batch.size() > 0) break;
    const int then = reads;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(reads == then);
  }
  CHECK(loader.epoch == 3);
}

TEST_CASE("loader: batches of values and of labels per position") {
  const Dataset values = from_tensors(tensor({{1}, {2}, {3}}), tensor({{10, 11}, {20, 21}, {30, 31}}));
  for (const int workers : {0, 2}) {
    std::vector<real> seen;
    for (const Batch& batch : Loader(values, {.batch_size = 2, .shuffle = false, .workers = workers})) {
      CHECK(batch.kind == TargetKind::values);
      CHECK(batch.values.shape() == Shape{batch.size(), 2});
      CHECK(batch.y.size() == 0);
      seen.insert(seen.end(), batch.values.data(), batch.values.data() + batch.values.count());
    }
    CHECK(seen == std::vector<real>{10, 11, 20, 21, 30, 31});
  }
  const Dataset maps = from_tensors(tensor({{1}, {2}, {3}}), Labels{0, 1, 1, 0, 2, 2}, {2});
  std::vector<int32_t> seen;
  for (const Batch& batch : Loader(maps, {.batch_size = 2, .shuffle = false})) {
    CHECK(batch.kind == TargetKind::positions);
    CHECK(batch.y.size() == 2 * batch.size());
    CHECK(batch.values.empty());
    seen.insert(seen.end(), batch.y.begin(), batch.y.end());
  }
  CHECK(seen == std::vector<int32_t>{0, 1, 1, 0, 2, 2});

  Dataset wrong = maps;
  wrong.classes = 2;
  CHECK(thrown<ValueError>([&] { all_of(Loader(wrong, {.shuffle = false})); }) ==
        "the label of sample 2 is 2; it must be in 0 ... 1, or -100 (ignored_label)");
}

TEST_CASE("loader: data sets whose members contradict each other") {
  const auto refused = [](auto change) {
    Dataset dataset = numbers(5);
    change(dataset);
    return thrown<ValueError>([&] { Loader loader(dataset); }) != "nothing";
  };
  CHECK(!refused([](Dataset&) {}));
  CHECK(refused([](Dataset& d) { d.read = {}; }));
  CHECK(refused([](Dataset& d) { d.classes = 0; }));
  CHECK(refused([](Dataset& d) { d.target_shape = {2}; }));
  CHECK(refused([](Dataset& d) { d.kind = TargetKind::positions; }));
  CHECK(refused([](Dataset& d) { d.kind = TargetKind::values, d.target_shape = {1}; }));
  CHECK(refused([](Dataset& d) { d.kind = TargetKind::values, d.classes = 0; }));
  CHECK(!refused([](Dataset& d) { d.kind = TargetKind::values, d.classes = 0, d.target_shape = {1}; }));
  CHECK_THROWS_AS(Loader(numbers(5), {.workers = -1}), ValueError);
  CHECK_THROWS_AS(Loader(numbers(5), {.workers = 1, .prefetch = 0}), ValueError);
}
