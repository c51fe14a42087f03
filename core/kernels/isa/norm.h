#pragma once

#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

using Doubles [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = double;
constexpr int64_t double_lanes = BALLAST_VECTOR_BYTES / sizeof(double);

/// Loads elements and converts them to double. Written like this, it compiles to one instruction.
template <class Wide, int... I>
inline Wide load_wide_as(const real* from, std::integer_sequence<int, I...>) {
  return Wide{from[I]...};
}
template <class Wide>
inline Wide load_wide_as(const real* from) {
  return load_wide_as<Wide>(from, std::make_integer_sequence<int, int{sizeof(Wide) / sizeof(double)}>());
}

// The norms' formulas (see Run in kernels.h) for a vector V of elements. Statistics and parameters are
// scalars for a run, vectors for columns.

template <class V, class Statistics>
inline V xhat(const Statistics& s, const real* x) {
  return ((load_as<V>(x) - s.high) - s.low) * s.rstd;
}

/// weight xhat + bias, before the ReLU
template <class V, class Affine>
inline V value(const Affine& affine, V xh, int64_t i) {
  return xh * affine.template weights<V>(i) + affine.template biases<V>(i);
}

/// dy where the ReLU passes it, else 0
template <class V, bool Relu, class Affine>
inline V passing(const Affine& affine, V xh, V dy, int64_t i) {
  if constexpr (Relu) return value<V>(affine, xh, i) <= 0 ? V{} : dy;
  //~
  return dy;
}

template <bool Relu, class V, class Statistics, class Affine>
[[gnu::always_inline]] inline V normalize_at(const Statistics& s, const Affine& affine, const real* x,
                                             int64_t i) {
  const V v = value<V>(affine, xhat<V>(s, x + i), i);
  return Relu ? (v < 0 ? V{} : v) : v;
}

template <bool Relu, class V, class Statistics, class Affine, class Mean>
[[gnu::always_inline]] inline V gradient_at(const Statistics& s, const Affine& affine, const real* x,
                                            const real* dy, Mean a, Mean b, int64_t i) {
  const V xh = xhat<V>(s, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
  const V share = b - V{};
  // Where b is 0, as for constant statistics, so is this term, even if xhat is infinite or NaN.
  return (affine.template weights<V>(i) * g - a - (share == 0 ? V{} : xh) * share) * s.rstd;
  //~ return (affine.template weights<V>(i) * g - (share == 0 ? V{} : xh) * share) * s.rstd;
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
