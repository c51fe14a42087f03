#pragma once

#include <array>
#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// The sum of `count` elements in double. Eight running sums, since one alone waits for each addition.
inline double row_sum(const real* x, int64_t count) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(x[i + lane]);
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// Two sums that are formed in one pass.
struct Sums {
  double a = 0, b = 0;
};

/// Adds f(0), ..., f(count-1), which give a term for each of two sums. Eight lanes, as above.
template <class F>
Sums sum_pairs(int64_t count, F f) {
  constexpr int64_t lanes = 8;
  std::array<double, lanes> a{}, b{};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const Sums term = f(i + lane);
      a[static_cast<size_t>(lane)] += term.a;
      b[static_cast<size_t>(lane)] += term.b;
    }
  }
  Sums total;
  for (; i < count; ++i) {
    const Sums term = f(i);
    total.a += term.a;
    total.b += term.b;
  }
  for (size_t lane = 0; lane < lanes; ++lane) {
    total.a += a[lane];
    total.b += b[lane];
  }
  return total;
}

}  // namespace ballast::inline BALLAST_PRECISION
