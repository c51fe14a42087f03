#include <ballast/core/kernels/kernels.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ballast/core/random.h>

using namespace ballast;

namespace {

constexpr double epsilon = sizeof(real) == 4 ? 6e-8 : 1.2e-16;

}  // namespace

TEST_CASE("the exponential is right to the last bits over its whole range") {
  std::vector<real> x, y;
  const double least = sizeof(real) == 4 ? 86.5 : 707, most = sizeof(real) == 4 ? 88 : 700;
  for (double v = -least; v <= most; v += most / 20011) x.push_back(static_cast<real>(v));
  y.resize(x.size());
  const double sum = kernels().exp_sum(static_cast<int64_t>(x.size()), x.data(), 0, y.data());
  double total = 0, worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    total += y[i];
    worst = std::max(worst, std::abs(y[i] / std::exp(double{x[i]}) - 1));
  }
  CHECK(worst < 3 * epsilon);
  CHECK(std::abs(sum / total - 1) < 1e-12);
  const real edges[] = {-std::numeric_limits<real>::infinity(), -1e9, 0, 1e9};
  real of_edges[4];
  kernels().exp_sum(4, edges, 0, of_edges);
  CHECK(of_edges[0] == 0);
  CHECK(of_edges[1] == 0);
  CHECK(of_edges[2] == 1);
  CHECK(of_edges[3] == std::numeric_limits<real>::infinity());
}

TEST_CASE("a norm writes the same past the caches, wherever its memory begins") {
  manual_seed(3);
  constexpr int64_t room = 160;
  const Tensor x = randn({room}), dy = randn({room}), weights = randn({room}), biases = randn({room});
  for (const bool own : {false, true}) {
    for (int64_t start = 0; start < 17; ++start) {
      for (const int64_t count : {0, 1, 3, 16, 67, 140}) {
        Run run = {.count = count, .high = real(0.25), .low = real(1e-9), .rstd = real(1.5), .relu = true};
        run.weight = 2, run.bias = real(-0.5);
        if (own) run.weights = weights.data() + start, run.biases = biases.data() + start;
        Tensor y[2], dx[2];
        for (const bool stream : {false, true}) {
          run.stream = stream;
          y[stream] = full({room}, 7), dx[stream] = full({room}, 7);
          kernels().normalize(run, x.data() + start, y[stream].data() + start);
          kernels().gradient(run, x.data() + start, dy.data() + start, real(0.1), real(0.2),
                             dx[stream].data() + start);
        }
        CAPTURE(start);
        CAPTURE(count);
        for (int64_t i = 0; i < room; ++i) {
          const bool inside = i >= start && i < start + count;
          REQUIRE((y[1](i) == 7) == !inside);
          REQUIRE(y[0](i) == doctest::Approx(double{y[1](i)}).epsilon(10 * epsilon));
          REQUIRE(dx[0](i) == doctest::Approx(double{dx[1](i)}).epsilon(1e3 * epsilon));
        }
      }
    }
  }
}
