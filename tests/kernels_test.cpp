#include <ballast/core/kernels/kernels.h>

#include <doctest/doctest.h>

#include <unistd.h>
#include <algorithm>

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include <ballast/core/random.h>

using namespace ballast;
using namespace ballast::detail;

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

TEST_CASE("columns are normalized by the definition, whatever strips they fall into") {
  manual_seed(5);
  for (const int64_t columns : {1, 3, 23, 64, 150}) {
    for (const int64_t rows : {1, 17, 40}) {
      CAPTURE(columns);
      CAPTURE(rows);
      const int64_t stride = columns + 5;
      const Tensor x = randn({rows, stride}), dy = randn({rows, stride});
      const Tensor high = randn({columns}), low = randn({columns}), rstd = rand({columns}, 1, 2);
      const Tensor weight = randn({columns}), bias = randn({columns}), a = randn({columns}),
                   b = randn({columns});
      const Columns c = {rows,        columns,       stride,      high.data(), low.data(),
                         rstd.data(), weight.data(), bias.data(), true};
      const auto n = static_cast<size_t>(columns);
      std::vector<double> shift(n), sum(n, 7), deviation(n, 1), square(n, 1), of_g(n, 1), of_gx(n, 1);
      for (size_t i = 0; i < n; ++i) shift[i] = 0.01 * static_cast<double>(i);
      Tensor y = full({rows, stride}, 7), dx = full({rows, stride}, 7);
      const Kernels& kernel = kernels();
      kernel.column_sums(rows, columns, stride, x.data(), sum.data());
      kernel.column_deviations(c, x.data(), shift.data(), deviation.data(), square.data());
      kernel.normalize_columns(c, x.data(), y.data());
      kernel.column_gradient_sums(c, x.data(), dy.data(), of_g.data(), of_gx.data());
      kernel.column_gradient(c, x.data(), dy.data(), a.data(), b.data(), dx.data());
      const auto near = [](double value, double right) {
        return std::abs(value - right) <= 500 * epsilon * (1 + std::abs(right));
      };
      for (int64_t i = 0; i < stride; ++i) {
        double of_x = 0, of_d = 1, of_d2 = 1, of_passing = 1, of_product = 1;
        for (int64_t row = 0; row < rows; ++row) {
          if (i >= columns) {
            REQUIRE(y(row, i) == 7);
            REQUIRE(dx(row, i) == 7);
            continue;
          }
          const double value = x(row, i), d = value - 0.01 * static_cast<double>(i);
          of_x += value, of_d += d, of_d2 += d * d;
          const double xhat = (value - high(i) - low(i)) * rstd(i);
          REQUIRE(near(y(row, i), std::max(0.0, xhat * weight(i) + bias(i))));
          const double g = y(row, i) > 0 ? double{dy(row, i)} : 0;
          of_passing += g, of_product += g * xhat;
          REQUIRE(near(dx(row, i), (weight(i) * g - a(i) - xhat * b(i)) * rstd(i)));
        }
        if (i >= columns) continue;
        const auto at = static_cast<size_t>(i);
        REQUIRE(near(sum[at], of_x));
        REQUIRE(near(deviation[at], of_d));
        REQUIRE(near(square[at], of_d2));
        REQUIRE(near(of_g[at], of_passing));
        REQUIRE(near(of_gx[at], of_product));
      }
    }
  }
}

#ifdef __linux__

// Run by the next case in a process of its own.
TEST_CASE("print the instruction set" * doctest::skip()) {
  try {
    fmt::print("kernels: {}.\n", kernels().isa);
  } catch (const ValueError& e) {
    fmt::print("error: {}.\n", e.what());
  }
}

TEST_CASE("BALLAST_ISA names the kernels, and what it can't be is an error that a program can catch") {
  const auto printed = [](const std::string& isa) {
    const std::string command =
        fmt::format("BALLAST_ISA='{}' /proc/{}/exe --no-skip -tc='print the instruction set'", isa, getpid());
    FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    for (int c; (c = fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    pclose(pipe);
    return text;
  };
  CHECK(printed("baseline").find("kernels: baseline.") != std::string::npos);
  for (const std::string wrong : {"xyz", "", "AVX2"})
    CHECK(printed(wrong).find("error: the environment variable BALLAST_ISA is '" + wrong +
                              "'; set it to one of ") != std::string::npos);
}

#endif
