#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// Values between -2 and 2 in scattered order that keep away from each other and from the multiples of 1/2
/// by 1/1000 at least: for functions with kinks. Up to 200 of them.
inline Tensor distinct(const Shape& shape) {
  Tensor x(shape);
  const int64_t n = x.count();
  for (int64_t i = 0; i < n; ++i)
    x.data()[i] =
        static_cast<real>((static_cast<double>(i * 7919 % n) + 0.43) * 4 / static_cast<double>(n) - 2);
  return x;
}

}  // namespace ballast::inline BALLAST_PRECISION
