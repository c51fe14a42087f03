// Arrays of NumPy as samples and targets.
#include <doctest/doctest.h>

#include <limits>

#include <ballast/data/npy.h>

#include "../temp_folder.h"
#include "trainer/formats.h"

using namespace ballast;
using namespace ballast::app;

namespace {

using Reals = std::vector<real>;
using Ints = std::vector<int64_t>;

/// Three samples of two numbers with these targets.
OpenedData opened(const NpyArray& y, const std::string& task = "auto") {
  const TempFolder folder;
  const Reals x = {1, 2, 3, 4, 5, 6};
  write_npz(folder / "a.npz", {{"x_train", npy_array({3, 2}, std::span(x))}, {"y_train", y}});
  DataOptions options;
  options.task = task;
  return open_arrays(folder / "a.npz", options, nullptr);
}

NpyArray reals(std::vector<int64_t> shape, const Reals& values) {
  return npy_array(shape, std::span(values));
}
NpyArray ints(std::vector<int64_t> shape, const Ints& values) { return npy_array(shape, std::span(values)); }

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const ValueError& error) {
    return error.message;
  }
  return "";
}

}  // namespace

TEST_CASE("arrays: rows with a single 1 are classes, whatever their type") {
  for (const NpyArray& y :
       {reals({3, 3}, {0, 1, 0, 1, 0, 0, 0, 1, 0}), ints({3, 3}, {0, 1, 0, 1, 0, 0, 0, 1, 0})}) {
    const Dataset data = opened(y).split.train;
    CHECK(data.kind == TargetKind::classes);
    CHECK(data.classes == 3);
    CHECK(data.sample(0).label() == 1);
    CHECK(data.sample(1).label() == 0);
    const Dataset numbers = opened(y, "regression").split.train;
    CHECK(numbers.kind == TargetKind::values);
    CHECK(numbers.sample(0).values == Reals{0, 1, 0});
  }
}

TEST_CASE("arrays: other targets are what they were") {
  CHECK(opened(reals({3, 2}, {0, 1, 1, 1, 1, 0})).split.train.kind == TargetKind::values);
  CHECK(opened(reals({3, 2}, {0, 1, real(0.5), 1, 1, 0})).split.train.kind == TargetKind::values);
  CHECK(opened(reals({3, 1}, {1, 0, 1})).split.train.kind == TargetKind::values);
  CHECK(opened(ints({3, 1}, {1, 0, 1})).split.train.kind == TargetKind::classes);
  CHECK(opened(ints({3, 2}, {0, 1, 1, 1, 1, 0})).split.train.kind == TargetKind::positions);
}

TEST_CASE("arrays: channels come last where they are few or the images square") {
  const auto shape_of = [](std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    return array_samples(reals(shape, Reals(static_cast<size_t>(count))), "x", Shape()).shape();
  };
  CHECK(shape_of({2, 5, 6, 3}) == Shape{2, 3, 5, 6});
  CHECK(shape_of({2, 3, 5, 6}) == Shape{2, 3, 5, 6});
  CHECK(shape_of({2, 8, 8, 6}) == Shape{2, 6, 8, 8});
  CHECK(shape_of({2, 6, 8, 8}) == Shape{2, 6, 8, 8});
  CHECK(shape_of({2, 8, 8, 8}) == Shape{2, 8, 8, 8});
  CHECK(shape_of({2, 9, 8, 6}) == Shape{2, 9, 8, 6});
  Reals values(50);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<real>(i);
  const Tensor x = array_samples(reals({1, 5, 5, 2}, values), "x", Shape());
  CHECK(x.data()[1] == 2);
  CHECK(x.data()[25] == 1);
}

TEST_CASE("arrays: a target that isn't finite is named") {
  const real nan = std::numeric_limits<real>::quiet_NaN(), inf = std::numeric_limits<real>::infinity();
  CHECK(message_of([&] {
          opened(reals({3}, {1, nan, 2}));
        }).ends_with("y_train: entry 1 has a value of nan"));
  CHECK(message_of([&] {
          opened(reals({3, 2}, {1, 2, 3, 4, 5, -inf}));
        }).ends_with("y_train: entry 2 has a value of -inf"));
  CHECK(message_of([&] { opened(reals({3}, {1, nan, 2}), "classification"); }).ends_with("nan"));
}

TEST_CASE("arrays: a position of a sample may be ignored, another label below 0 and a whole sample may not") {
  const Dataset data = opened(ints({3, 2}, {0, 1, -100, 1, 2, 0})).split.train;
  CHECK(data.classes == 3);
  CHECK(data.sample(1).labels == std::vector<int32_t>{ignored_label, 1});
  CHECK(message_of([&] {
          opened(ints({3, 2}, {0, 1, -1, 1, 2, 0}));
        }).ends_with("y_train: a label of -1; they are 0, 1, ..., or -100 for a position that is ignored"));
  CHECK(message_of([&] { opened(ints({3}, {0, 1, -100})); }).find("a label of -100") != std::string::npos);
}
