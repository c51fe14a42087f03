#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Mean and sum of squared deviations of some values, which combine by Chan, Golub and LeVeque (1979).
struct Moments {
  double count = 0, mean = 0, squares = 0;

  Moments() = default;
  Moments(const real* x, int64_t size) : count(static_cast<double>(size)) {
    for (int64_t n = 0; n < size; ++n) mean += static_cast<double>(x[n]) / count;
    for (int64_t n = 0; n < size; ++n) squares += (x[n] - mean) * (x[n] - mean);
  }
  void add(const Moments& other) {
    const double total = count + other.count, distance = other.mean - mean;
    mean += distance * other.count / total;
    squares += other.squares + distance * distance * count * other.count / total;
    count = total;
  }
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
