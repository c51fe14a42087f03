#include <ballast/core/kernels/kernels.h>

#include <doctest/doctest.h>

#include <unistd.h>
#include <algorithm>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ballast/core/random.h>

using namespace ballast;
using namespace ballast::detail;

namespace {

constexpr double epsilon = sizeof(real) == 4 ? 6e-8 : 1.2e-16;

}  // namespace

namespace {

using Exact = long double;
using RealLimits = std::numeric_limits<real>;

// Numbers of every sign and exponent, denormal ones, zeros, infinities and NaN included, and many near 0
// and 1.
std::vector<real> numbers() {
  using Bits = std::conditional_t<sizeof(real) == 4, uint32_t, uint64_t>;
  std::vector<real> x;
  constexpr int count = 40000;
  for (int i = 0; i < count; ++i) {
    const Bits bits =
        std::numeric_limits<Bits>::max() / count * static_cast<Bits>(i) + static_cast<Bits>(i * 7919);
    real value;
    std::memcpy(&value, &bits, sizeof(value));
    x.push_back(value);
  }
  for (int i = -count; i < count; ++i) {
    x.push_back(static_cast<real>(i * 1e-3 * (sizeof(real) == 4 ? 3 : 20)));
    x.push_back(static_cast<real>(1 + i * 1e-7));
    x.push_back(static_cast<real>(i * 1e-9));
    x.push_back(static_cast<real>(i * 1.7e-4));
  }
  // At 9.10095 the rounding errors of the parts of gelu add up.
  for (const real value : {real(0), real(9.10095119), RealLimits::denorm_min(), RealLimits::min(),
                           RealLimits::max(), RealLimits::infinity(), RealLimits::quiet_NaN()}) {
    x.push_back(value);
    x.push_back(-value);
  }
  return x;
}

// In units in the last place of `exact`, rounded.
double ulps(real got, Exact exact) {
  const real rounded = static_cast<real>(exact);
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(rounded) && std::isnan(got) ? 0 : 1e30;
  if (got == rounded) return 0;
  if (std::isinf(got)) return rounded == std::copysign(RealLimits::max(), got) ? 1 : 1e30;
  if (std::isinf(rounded)) return std::abs(got) == RealLimits::max() ? 1 : 1e30;
  const Exact ulp =
      std::max<Exact>(std::abs(std::nextafter(rounded, real(0)) - rounded), RealLimits::denorm_min());
  return static_cast<double>(std::abs(Exact{got} - exact) / ulp);
}

struct Worst {
  double ulps = 0;
  real at = 0, got = 0;
};

Worst worst_error(const Function& f, real a, real b, Exact (*exact)(Exact x, Exact a)) {
  const std::vector<real> x = numbers();
  std::vector<real> y(x.size());
  f.value(static_cast<int64_t>(x.size()), x.data(), {y.data()}, a, b);
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], exact(x[i], a));
    if (error > worst.ulps) worst = {error, x[i], y[i]};
  }
  return worst;
}

Exact sigmoid_of(Exact x) { return 1 / (1 + std::exp(-x)); }
Exact normal_cdf_of(Exact x) { return std::erfc(-x / std::sqrt(Exact{2})) / 2; }

}  // namespace

TEST_CASE("functions are right to the last bits over their whole range") {
  const Kernels& k = kernels();
  struct Case {
    const Function& f;
    real a, b;
    Exact (*exact)(Exact, Exact);
  };
  const Case cases[] = {
      {k.exp, 0, 0, [](Exact x, Exact) { return std::exp(x); }},
      {k.expm1, 0, 0, [](Exact x, Exact) { return std::expm1(x); }},
      {k.log, 0, 0, [](Exact x, Exact) { return std::log(x); }},
      {k.log1p, 0, 0, [](Exact x, Exact) { return std::log1p(x); }},
      {k.sqrt, 0, 0, [](Exact x, Exact) { return std::sqrt(x); }},
      {k.erf, 0, 0, [](Exact x, Exact) { return std::erf(x); }},
      {k.tanh, 0, 0, [](Exact x, Exact) { return std::tanh(x); }},
      {k.sigmoid, 0, 0, [](Exact x, Exact) { return sigmoid_of(x); }},
      {k.elu, 1, 0, [](Exact x, Exact) { return x > 0 ? x : std::expm1(x); }},
      {k.softplus, 1, RealLimits::infinity(),
       [](Exact x, Exact) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }},
      {k.silu, 0, 0,
       [](Exact x, Exact) { return x < 0 ? x * (std::exp(x) / (1 + std::exp(x))) : x * sigmoid_of(x); }},
      {k.gelu, 0, 0, [](Exact x, Exact) { return x * normal_cdf_of(x); }},
      {k.pow, real(0.5), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, real(-0.5), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, -1, 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, -2, 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, -3, 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, 3, 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, real(-2.7), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, real(1e-3), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, 100, 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, RealLimits::infinity(), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
      {k.pow, -RealLimits::infinity(), 0, [](Exact x, Exact a) { return std::pow(x, a); }},
  };
  for (const Case& c : cases) {
    const Worst worst = worst_error(c.f, c.a, c.b, c.exact);
    CAPTURE(std::string(c.f.name));
    CAPTURE(c.a);
    CAPTURE(worst.at);
    CAPTURE(worst.got);
    CHECK(worst.ulps <= (sizeof(real) == 4 ? 4 : 5));
  }
}

TEST_CASE("operations on two numbers, and where, at every length, of elements or of one number") {
  manual_seed(2);
  const Kernels& k = kernels();
  const std::pair<const Binary&, real (*)(real, real)> cases[] = {
      {k.add, [](real a, real b) { return a + b; }},
      {k.subtract, [](real a, real b) { return a - b; }},
      {k.multiply, [](real a, real b) { return a * b; }},
      {k.divide, [](real a, real b) { return a / b; }},
      {k.maximum, [](real a, real b) { return std::max(a, b); }},
      {k.minimum, [](real a, real b) { return std::min(a, b); }},
      {k.share_in_maximum, [](real a, real b) { return a == b ? real(0.5) : real(a > b); }},
      {k.share_in_minimum, [](real a, real b) { return a == b ? real(0.5) : real(a < b); }},
      {k.less, [](real a, real b) { return real(a < b); }},
      {k.less_equal, [](real a, real b) { return real(a <= b); }},
      {k.greater, [](real a, real b) { return real(a > b); }},
      {k.greater_equal, [](real a, real b) { return real(a >= b); }},
      {k.equal, [](real a, real b) { return real(a == b); }},
      {k.not_equal, [](real a, real b) { return real(a != b); }}};
  constexpr int64_t room = 40;
  Tensor a = randn({room}), b = randn({room}), c = randn({room});
  for (int64_t i = 0; i < room; i += 3) b(i) = a(i), c(i) = 0;
  for (int64_t count = 1; count < room; ++count) {
    for (const int steps : {0, 1, 2, 3, 4, 5, 6, 7}) {
      CAPTURE(count);
      CAPTURE(steps);
      const bool a_steps = steps & 1, b_steps = steps & 2, c_steps = steps & 4;
      // What y must be: value(i) where there are elements, 7 beyond them.
      const auto require = [&](const Tensor& y, auto value) {
        for (int64_t i = 0; i < room; ++i)
          REQUIRE(y(i) == (i < count ? value(a_steps ? i : 0, b_steps ? i : 0, c_steps ? i : 0) : 7));
      };
      for (const auto& each : cases) {
        if (c_steps) continue;
        const Binary& f = each.first;
        CAPTURE(std::string(f.name));
        Tensor y = full({room}, 7);
        f.value(count, {a.data(), a_steps}, {b.data(), b_steps}, {y.data()});
        require(y, [&, of = each.second](int64_t i, int64_t j, int64_t) { return of(a(i), b(j)); });
      }
      Tensor y = full({room}, 7);
      k.where(count, {c.data(), c_steps}, {a.data(), a_steps}, {b.data(), b_steps}, {y.data()});
      require(y, [&](int64_t i, int64_t j, int64_t l) { return c(l) != 0 ? a(i) : b(j); });
    }
  }
}

TEST_CASE("rows are copied whole, and nothing beside them is written") {
  constexpr int64_t rows = 3, room = 80;
  const Tensor x = randn({rows, room});
  for (int64_t columns = 0; columns <= 70; ++columns) {
    CAPTURE(columns);
    Tensor y = full({rows, room}, 7);
    kernels().copy_rows(rows, columns, x.data() + 1, room, y.data() + 2, room);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < room; ++i)
        REQUIRE(y(row, i) == (i >= 2 && i < columns + 2 ? x(row, i - 1) : 7));
  }
}

TEST_CASE("functions and operations write the same past the caches, wherever their memory begins") {
  const Kernels& k = kernels();
  constexpr int64_t room = 160;
  const Tensor a = randn({room}), b = randn({room});
  for (int64_t start = 0; start < 17; ++start) {
    for (const int64_t count : {0, 1, 3, 16, 67, 128, 140}) {
      CAPTURE(start);
      CAPTURE(count);
      std::vector<Tensor> written[2];
      for (const bool stream : {false, true}) {
        const auto destination = [&] {
          return Destination{written[stream].emplace_back(full({room}, 7)).data() + start, stream};
        };
        const real *from_a = a.data() + start, *from_b = b.data() + start;
        k.tanh.value(count, from_a, destination(), 0, 0);
        k.tanh.gradient(count, from_a, from_b, destination(), 0, 0);
        const Destination y = destination(), slope = destination();
        k.gelu.value_and_slope(count, from_a, y, slope, 0, 0);
        k.add.value(count, {from_a, true}, {from_b, true}, destination());
        k.where(count, {from_a, true}, {from_a, false}, {from_b, true}, destination());
      }
      k.end_streams();
      for (size_t n = 0; n < written[0].size(); ++n) {
        CAPTURE(n);
        for (int64_t i = 0; i < room; ++i) {
          const bool inside = i >= start && i < start + count;
          REQUIRE((written[1][n](i) == 7) == !inside);
          REQUIRE(written[0][n](i) == written[1][n](i));
        }
      }
    }
  }
}

TEST_CASE("a norm writes the same past the caches, wherever its memory begins") {
  manual_seed(3);
  constexpr int64_t room = 160;
  const Tensor x = randn({room}), dy = randn({room}), weights = randn({room}), biases = randn({room});
  for (const bool own : {false, true}) {
    for (int64_t start = 0; start < 17; ++start) {
      for (const int64_t count : {0, 1, 3, 16, 67, 140}) {
        const real high = real(0.25), low = real(1e-9), rstd = real(1.5), weight = 2, bias = real(-0.5),
                   a = real(0.1), b = real(0.2);
        Runs run = {.runs = 1,
                    .count = count,
                    .high = &high,
                    .low = &low,
                    .rstd = &rstd,
                    .weight = &weight,
                    .bias = &bias,
                    .elementwise = own,
                    .relu = true};
        if (own) run.weight = weights.data() + start, run.bias = biases.data() + start;
        Tensor y[2], dx[2];
        for (const bool stream : {false, true}) {
          run.stream = stream;
          y[stream] = full({room}, 7), dx[stream] = full({room}, 7);
          kernels().normalize(run, x.data() + start, y[stream].data() + start);
          kernels().gradient(run, x.data() + start, dy.data() + start, &a, &b, dx[stream].data() + start);
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

TEST_CASE("runs are normalized by the definition, however short") {
  manual_seed(4);
  for (const int64_t count : {1, 2, 5, 8, 15, 16, 17, 31, 49, 100, 270}) {
    for (const int64_t number : {1, 3}) {
      for (const bool own : {false, true}) {
        CAPTURE(count);
        CAPTURE(number);
        CAPTURE(own);
        const Shape matrix{number, count};
        const Tensor x = randn(matrix), dy = randn(matrix), parameters = randn({2, own ? count : number});
        const Tensor high = randn({number}), low = randn({number}), rstd = rand({number}, 1, 2);
        const Tensor a = randn({number}), b = randn({number});
        const real *weights = parameters.data(), *biases = weights + parameters.size(1);
        const Runs runs = {.runs = number,
                           .count = count,
                           .high = high.data(),
                           .low = low.data(),
                           .rstd = rstd.data(),
                           .weight = weights,
                           .bias = biases,
                           .elementwise = own,
                           .relu = true};
        const auto n = static_cast<size_t>(number);
        std::vector<double> shift(n);
        std::vector<Sums> of_d(n), of_g(n);
        for (size_t r = 0; r < n; ++r) shift[r] = 0.01 * static_cast<double>(r);
        Tensor y(matrix), dx(matrix), dweights = ones({count}), dbiases = ones({count});
        kernels().deviations(number, count, x.data(), shift.data(), of_d.data());
        kernels().normalize(runs, x.data(), y.data());
        kernels().gradient_sums(runs, x.data(), dy.data(), of_g.data(), own ? dweights.data() : nullptr,
                                own ? dbiases.data() : nullptr);
        kernels().gradient(runs, x.data(), dy.data(), a.data(), b.data(), dx.data());
        const auto near = [](double value, double right) {
          return std::abs(value - right) <= 500 * epsilon * (1 + std::abs(right));
        };
        std::vector<double> of_weight(static_cast<size_t>(count), 1), of_bias(static_cast<size_t>(count), 1);
        for (int64_t r = 0; r < number; ++r) {
          Sums d = {0, 0}, sums = {0, 0};
          for (int64_t i = 0; i < count; ++i) {
            const double from = double{x(r, i)} - shift[static_cast<size_t>(r)];
            const double xh = (double{x(r, i)} - high(r) - low(r)) * rstd(r);
            const double weight = weights[own ? i : r], value = weight * xh + biases[own ? i : r];
            const double g = value > 0 ? double{dy(r, i)} : 0;
            d.a += from, d.b += from * from;
            sums.a += own ? weight * g : g, sums.b += (own ? weight * g : g) * xh;
            of_weight[static_cast<size_t>(i)] += g * xh, of_bias[static_cast<size_t>(i)] += g;
            REQUIRE(near(y(r, i), std::max(value, 0.0)));
            REQUIRE(near(dx(r, i), (weight * g - a(r) - xh * b(r)) * rstd(r)));
          }
          REQUIRE(near(of_d[static_cast<size_t>(r)].a, d.a));
          REQUIRE(near(of_d[static_cast<size_t>(r)].b, d.b));
          REQUIRE(near(of_g[static_cast<size_t>(r)].a, sums.a));
          REQUIRE(near(of_g[static_cast<size_t>(r)].b, sums.b));
        }
        for (int64_t i = 0; own && i < count; ++i) {
          REQUIRE(near(dweights(i), of_weight[static_cast<size_t>(i)]));
          REQUIRE(near(dbiases(i), of_bias[static_cast<size_t>(i)]));
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
