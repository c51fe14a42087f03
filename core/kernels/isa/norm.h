#pragma once

#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

using Doubles [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = double;
constexpr int64_t double_lanes = BALLAST_VECTOR_BYTES / sizeof(double);

/// As many elements as Wide has lanes: written in this way, one instruction loads and converts them.
template <class Wide, int... I>
inline Wide load_wide_as(const real* from, std::integer_sequence<int, I...>) {
  return Wide{from[I]...};
}
template <class Wide>
inline Wide load_wide_as(const real* from) {
  return load_wide_as<Wide>(from, std::make_integer_sequence<int, int{sizeof(Wide) / sizeof(double)}>());
}

// The norm's formulas (see Run in kernels.h) for a vector V of elements. The numbers of a run are scalars,
// those of columns vectors.

template <class V, class Numbers>
inline V xhat(const Numbers& n, const real* x) {
  return ((load_as<V>(x) - n.high) - n.low) * n.rstd;
}

/// weight xhat + bias, before it is cut off
template <class V, class Affine>
inline V value(const Affine& affine, V xh, int64_t i) {
  return xh * affine.template weights<V>(i) + affine.template biases<V>(i);
}

/// What of dy passes the cut-off
template <class V, bool Relu, class Affine>
inline V passing(const Affine& affine, V xh, V dy, int64_t i) {
  if constexpr (Relu) return value<V>(affine, xh, i) <= 0 ? V{} : dy;
  //~
  return dy;
}

template <bool Relu, class V, class Numbers, class Affine>
[[gnu::always_inline]] inline V normalize_at(const Numbers& n, const Affine& affine, const real* x,
                                             int64_t i) {
  const V v = value<V>(affine, xhat<V>(n, x + i), i);
  return Relu ? (v < 0 ? V{} : v) : v;
}

template <bool Relu, class V, class Numbers, class Affine, class Mean>
[[gnu::always_inline]] inline V gradient_at(const Numbers& n, const Affine& affine, const real* x,
                                            const real* dy, Mean a, Mean b, int64_t i) {
  const V xh = xhat<V>(n, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
  const V share = b - V{};
  // Where b is 0, as for constant statistics, so is this term, even if xhat is infinite or NaN.
  return (affine.template weights<V>(i) * g - a - (share == 0 ? V{} : xh) * share) * n.rstd;
  //~ return (affine.template weights<V>(i) * g - (share == 0 ? V{} : xh) * share) * n.rstd;
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
