#include <ballast/layers/functional/pooling.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/parallel.h>
#include <ballast/core/random.h>

using namespace ballast;

namespace {

struct Case {
  const char* name;
  Shape x;
  Pair window;
  PoolOptions options = {};
};

const std::vector<Case> cases = {
    {"2x2", {2, 3, 6, 8}, 2},
    {"2x2, odd sizes", {2, 3, 7, 5}, 2},
    {"2x2, overlapping", {2, 3, 6, 5}, 2, {.stride = 1}},
    {"2x2, padded", {2, 3, 6, 5}, 2, {.padding = 1}},
    {"2x2, stride 2 one way", {2, 3, 6, 5}, 2, {.stride = Pair{2, 1}}},
    {"3x3, overlapping", {2, 2, 9, 8}, 3, {.stride = 2}},
    {"3x3, overlapping, padded", {2, 2, 9, 8}, 3, {.stride = 2, .padding = 1}},
    {"3x3, stride beyond the window", {2, 2, 11, 12}, 3, {.stride = 5}},
    {"non-square", {1, 2, 7, 9}, {2, 3}, {.stride = Pair{1, 2}, .padding = {1, 0}}},
    {"one row", {2, 2, 1, 9}, {1, 2}},
    {"1x1", {2, 2, 3, 3}, 1},
    {"1x1, stride", {2, 2, 5, 4}, 1, {.stride = 2}},
    {"sizes of 1", {1, 1, 1, 1}, 1},
    {"one pixel, padded", {1, 1, 1, 1}, 3, {.stride = 1, .padding = 1}},
    {"window as large as the input", {2, 2, 4, 5}, {4, 5}},
    {"window larger than the input", {2, 2, 3, 3}, 5, {.stride = 1, .padding = 2}},
    {"256 taps", {2, 2, 20, 19}, 16, {.stride = 3}},
    {"more taps than a byte numbers", {2, 2, 20, 19}, {16, 17}, {.stride = 1, .padding = {8, 0}}},
    {"many planes", {5, 40, 4, 4}, 2},
    {"no images", {0, 2, 4, 4}, 2},
};

constexpr double tolerance = sizeof(real) == 4 ? 2e-6 : 1e-14;

double error(const Tensor& found, const std::vector<double>& expected) {
  REQUIRE(found.count() == static_cast<int64_t>(expected.size()));
  double difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double distance = std::abs(static_cast<double>(found.data()[i]) - expected[i]);
    difference = distance <= difference ? difference : distance;  // NaN stays
  }
  return difference;
}

/// The definition: each window's inputs listed one by one.
struct Reference {
  std::vector<double> max, max_dx, avg, avg_dx;

  Reference(const Case& c, const Tensor& x, const Tensor& dy)
      : max_dx(static_cast<size_t>(x.count())), avg_dx(static_cast<size_t>(x.count())) {
    const Pair stride = c.options.stride.value_or(c.window), padding = c.options.padding;
    size_t out = 0;
    for (int64_t plane = 0; plane < dy.size(0) * dy.size(1); ++plane) {
      for (int64_t oh = 0; oh < dy.size(2); ++oh) {
        for (int64_t ow = 0; ow < dy.size(3); ++ow) {
          std::vector<size_t> seen;
          for (int64_t h = oh * stride.h - padding.h; h < oh * stride.h - padding.h + c.window.h; ++h) {
            for (int64_t w = ow * stride.w - padding.w; w < ow * stride.w - padding.w + c.window.w; ++w) {
              if (h < 0 || h >= x.size(2) || w < 0 || w >= x.size(3)) continue;
              seen.push_back(static_cast<size_t>((plane * x.size(2) + h) * x.size(3) + w));
            }
          }
          pool(c, x, seen, static_cast<double>(dy.data()[out++]));
        }
      }
    }
  }

  void pool(const Case& c, const Tensor& x, const std::vector<size_t>& seen, double g) {
    const double taps = static_cast<double>(c.window.h * c.window.w);
    size_t winner = seen.at(0);
    double sum = 0;
    for (const size_t i : seen) {
      if (x.data()[i] > x.data()[winner]) winner = i;
      sum += static_cast<double>(x.data()[i]);
      avg_dx[i] += g / taps;
    }
    max.push_back(static_cast<double>(x.data()[winner]));
    max_dx[winner] += g;
    avg.push_back(sum / taps);
  }
};

/// y twice, so that two gradients arrive at x, the second on top of the first.
Tensor both(const Tensor& a, const Tensor& b) {
  const NodeId in_a = a.node(), in_b = b.node();
  return record("both", a.clone(), {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    grads.add(in_a, dy);
    grads.add(in_b, dy);
  });
}

std::vector<double> doubled(std::vector<double> values) {
  for (double& v : values) v *= 2;
  return values;
}

/// Checks `pool` at x, whose value and gradient for dy are given.
template <class Pool>
void check_pool(Pool pool, Tensor x, const Tensor& dy, const std::vector<double>& y,
                const std::vector<double>& dx) {
  Tape tape;
  tape.watch(x);
  const Tensor found = pool(x);
  CHECK(found.shape() == dy.shape());
  CHECK(error(found, y) < tolerance);
  tape.backward(found, dy, Keep{});
  CHECK(error(tape.grad(x), dx) < tolerance);
  tape.backward(both(found, pool(x)), dy);
  CHECK(error(tape.grad(x), doubled(dx)) < tolerance);
}

template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.message;
  }
  return "no error";
}

}  // namespace

TEST_CASE("pooling: values and gradients are those of the definition") {
  manual_seed(1);
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Tensor x = randn(c.x);
    const Tensor dy = randn(max_pool2d(x, c.window, c.options).shape(), 0, real(0.1));
    const Reference expected(c, x, dy);
    check_pool([&](const Tensor& v) { return max_pool2d(v, c.window, c.options); }, x, dy, expected.max,
               expected.max_dx);
    check_pool([&](const Tensor& v) { return avg_pool2d(v, c.window, c.options); }, x, dy, expected.avg,
               expected.avg_dx);
  }
}

TEST_CASE("pooling: the global average") {
  manual_seed(2);
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 1, 1, 1}, Shape{3, 2, 4, 4}, Shape{70, 9, 3, 1}}) {
    CAPTURE(shape.str());
    const Tensor x = randn(shape), dy = randn({shape[0], shape[1], 1, 1});
    const Reference expected({"", shape, {shape[2], shape[3]}}, x, dy);
    check_pool(global_avg_pool, x, dy, expected.avg, expected.avg_dx);
  }
  const Tensor large = full({1, 1, 1024, 1024}, real(0.1));
  CHECK(error(global_avg_pool(large), {static_cast<double>(real(0.1))}) < 1e-8);
}

TEST_CASE("max_pool2d: the gradient of a tie goes to the first") {
  for (const Pair stride : {Pair(1), Pair(2)}) {
    CAPTURE(stride.h);
    Tensor x = ones({1, 1, 2, 2});
    Tape tape;
    tape.watch(x);
    tape.backward(max_pool2d(x, 2, {.stride = stride}), ones({1, 1, 1, 1}));
    CHECK(error(tape.grad(x), {1, 0, 0, 0}) == 0);
  }
}

TEST_CASE("max_pool2d: NaN in a window wins, wherever it stands") {
  const real nan = std::numeric_limits<real>::quiet_NaN();
  for (const Pair stride : {Pair(1), Pair(2)}) {
    for (int64_t place = 0; place < 4; ++place) {
      CAPTURE(stride.h);
      CAPTURE(place);
      Tensor x = tensor({1, -2, 3, 2}).viewed_as({1, 1, 2, 2});
      x.data()[place] = nan;
      Tape tape;
      tape.watch(x);
      const Tensor y = max_pool2d(x, 2, {.stride = stride});
      CHECK(std::isnan(y.item()));
      tape.backward(y, ones({1, 1, 1, 1}));
      CHECK(tape.grad(x).data()[place] == 1);
    }
  }
  Tensor x = zeros({1, 1, 4, 4});
  x(0, 0, 0, 0) = nan;
  const Tensor y = max_pool2d(x, 2);
  CHECK(std::isnan(y(0, 0, 0, 0)));
  CHECK(y(0, 0, 1, 1) == 0);
}

TEST_CASE("max_pool2d: padding never wins, not even over -infinity") {
  const real lowest = -std::numeric_limits<real>::infinity();
  Tensor x = full({1, 1, 3, 3}, lowest);
  Tape tape;
  tape.watch(x);
  const Tensor y = max_pool2d(x, 3, {.stride = 2, .padding = 1});
  for (const real v : y.values()) CHECK(v == lowest);
  tape.backward(y, ones(y.shape()));
  CHECK(error(tape.grad(x), {1, 1, 0, 1, 1, 0, 0, 0, 0}) == 0);
}

TEST_CASE("pooling: the same bits on any number of threads") {
  const int threads_before = num_threads();
  manual_seed(3);
  const Tensor x = randn({32, 16, 24, 24});
  const auto run = [&](auto pool) {
    Tensor input = x;
    Tape tape;
    tape.watch(input);
    const Tensor y = pool(input);
    tape.backward(y, y.clone());
    return std::pair(y, tape.grad(input));
  };
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return std::memcmp(a.data(), b.data(), static_cast<size_t>(a.count()) * sizeof(real)) == 0;
  };
  const auto check_all_threads = [&](auto pool) {
    set_num_threads(1);
    const auto [y, dx] = run(pool);
    for (int threads = 2; threads <= 4; ++threads) {
      CAPTURE(threads);
      set_num_threads(threads);
      threads_used_since_last_call();
      int used = 0;  // a worker may wake too late on a busy machine
      for (int attempt = 0; attempt < 10000 && used < 2; ++attempt) {
        const auto found = run(pool);
        REQUIRE(equal(found.first, y));
        REQUIRE(equal(found.second, dx));
        used = threads_used_since_last_call();
      }
      CHECK(used >= 2);
    }
  };
  check_all_threads([](const Tensor& v) { return max_pool2d(v, 2); });
  check_all_threads([](const Tensor& v) { return max_pool2d(v, 3, {.stride = 2, .padding = 1}); });
  check_all_threads([](const Tensor& v) { return avg_pool2d(v, 3, {.stride = 1, .padding = 1}); });
  check_all_threads(global_avg_pool);
  set_num_threads(threads_before);
}

TEST_CASE("pooling: errors say what arrived, what was expected and what to do") {
  // Both say the same of themselves, max_pool2d and avg_pool2d.
  const auto shape_error = [](const Shape& x, Pair window, const PoolOptions& options = {}) {
    const std::string text = message_of<ShapeError>([&] { max_pool2d(zeros(x), window, options); });
    CHECK(text.substr(3) == message_of<ShapeError>([&] { avg_pool2d(zeros(x), window, options); }).substr(3));
    return text;
  };
  const auto value_error = [](Pair window, const PoolOptions& options = {}) {
    const std::string text = message_of<ValueError>([&] {
      max_pool2d(zeros({1, 1, 4, 4}), window, options);
    });
    CHECK(text.substr(3) == message_of<ValueError>([&] {
                              avg_pool2d(zeros({1, 1, 4, 4}), window, options);
                            }).substr(3));
    return text;
  };
  CHECK(shape_error({8, 784}, 2) == "max_pool2d: x is (8, 784); it must be (N, C, H, W)");
  CHECK(shape_error({8, 3, 1, 28}, 2) ==
        "max_pool2d: x is (8, 3, 1, 28); with padding (0, 0) it doesn't fill one window of 2 x 2; take a "
        "smaller window, "
        "or pool less before");
  CHECK(shape_error({8, 3, 28, 0}, 2, {.padding = 1}) ==
        "max_pool2d: x is (8, 3, 28, 0); with padding (1, 1) it doesn't fill one window of 2 x 2; take a "
        "smaller window, "
        "or pool less before");
  CHECK(value_error(0) == "max_pool2d: window is (0, 0); both numbers must be from 1 to 2^30");
  CHECK(value_error(2, {.stride = Pair{2, 0}}) ==
        "max_pool2d: stride is (2, 0); both numbers must be from 1 to 2^30");
  CHECK(value_error(2, {.padding = {0, -1}}) ==
        "max_pool2d: padding is (0, -1); both numbers must be from 0 to 2^30");
  CHECK(value_error({3, 2}, {.padding = {1, 2}}) ==
        "max_pool2d: padding is (1, 2); it must be at most half of the window, (1, 1)");
  CHECK(value_error({1 << 20, 1 << 20}) ==
        "max_pool2d: window is (1048576, 1048576); it must have less than 2^31 elements");
  CHECK(message_of<ShapeError>([] {
          global_avg_pool(zeros({2, 3}));
        }) == "global_avg_pool: x is (2, 3); it must be (N, C, H, W)");
  CHECK(message_of<ShapeError>([] {
          global_avg_pool(zeros({2, 3, 0, 4}));
        }) == "global_avg_pool: x is (2, 3, 0, 4); there is no position to average over");
}
