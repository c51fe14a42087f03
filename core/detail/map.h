#pragma once

#include <type_traits>
#include <utility>

#include <ballast/core/detail/compiler.h>
#include <ballast/core/detail/denormals.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/parallel.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION::detail {

using tuning::elementwise_grain;

/// Chunks of rows that are as much work as `elementwise_grain` elements.
inline int64_t row_grain(int64_t row_length) {
  return row_length < elementwise_grain ? elementwise_grain / (row_length < 1 ? 1 : row_length) : 1;
}

using tuning::image_channels;

/// Memory for a result of x's shape: x's own, moved from it, when that may be overwritten, else new.
inline Tensor reuse(Tensor& x) { return solely_held(x) ? std::move(x) : Tensor(x.shape()); }

/// The tensor of f(x[i]), in x's memory where that may be overwritten.
template <class F>
Tensor mapped(Tensor x, F f) {
  const real* from = x.data();
  Tensor y = reuse(x);
  real* to = y.data();
  parallel_for(y.count(), elementwise_grain, [=](int64_t begin, int64_t end) {
    BALLAST_INDEPENDENT
    for (int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
  });
  return y;
}

/// The tensor of f(x[i], other[i]), in x's memory where that may be overwritten; tensors of equal count.
template <class F>
Tensor zipped(Tensor x, const Tensor& other, F f) {
  const real *from = x.data(), *also = other.data();
  Tensor y = reuse(x);
  real* to = y.data();
  parallel_for(y.count(), elementwise_grain, [=](int64_t begin, int64_t end) {
    BALLAST_INDEPENDENT
    for (int64_t i = begin; i < end; ++i) to[i] = f(from[i], also[i]);
  });
  return y;
}

struct Function;

/// The function of each element, recorded; a and b are its parameters.
Tensor apply(const Function& f, Tensor x, real a = 0, real b = 0);
/// Its gradient, where `kept` is what the function's gradient is a formula of: x or y.
Tensor gradient_of(const Function& f, Tensor dy, const Tensor& kept, real a = 0, real b = 0);

}  // namespace ballast::inline BALLAST_PRECISION::detail
