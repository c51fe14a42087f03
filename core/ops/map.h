#pragma once

#include <ballast/core/parallel.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// Elements per chunk of an elementwise loop: 64 KB of float, so that a chunk outweighs handing it out.
inline constexpr int64_t elementwise_grain = 16384;

/// y[i] = f(y[i])
template <class F>
void map(Tensor& y, F f) {
  real* to = y.data();
  parallel_for(y.count(), elementwise_grain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(to[i]);
  });
}

/// y[i] = f(y[i], x[i]), for tensors of equal count
template <class F>
void zip(Tensor& y, const Tensor& x, F f) {
  real* to = y.data();
  const real* from = x.data();
  parallel_for(y.count(), elementwise_grain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(to[i], from[i]);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
