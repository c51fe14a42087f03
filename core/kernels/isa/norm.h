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

/// Loads the first `count` lanes and reads nothing beyond them; the other lanes become 0.
inline Doubles load_wide_first(const real* from, int64_t count) {
  if (count == double_lanes) return load_wide_as<Doubles>(from);
  const Vector v = load_first(from, count);
  return load_wide_as<Doubles>(reinterpret_cast<const real*>(&v));
}

// The norms' formulas (see Runs in kernels.h) for a vector V of elements. Statistics and parameters are
// scalars for a run, vectors for columns.

template <class V, class Statistics>
inline V xhat(const Statistics& s, V x) {
  return ((x - s.high) - s.low) * s.rstd;
}

/// dy where the ReLU passes it, else 0
template <bool Relu, class V, class Parameter>
inline V passing(Parameter weight, Parameter bias, V xh, V dy) {
  if constexpr (Relu) return xh * weight + bias <= 0 ? V{} : dy;
  //~
  return dy;
}

template <bool Relu, class V, class Statistics, class Parameter>
[[gnu::always_inline]] inline V normalized(const Statistics& s, Parameter weight, Parameter bias, V x) {
  const V v = xhat(s, x) * weight + bias;
  return Relu ? (v < 0 ? V{} : v) : v;
}

template <bool Relu, class V, class Statistics, class Parameter, class Mean>
[[gnu::always_inline]] inline V gradient_of(const Statistics& s, Parameter weight, Parameter bias, V x, V dy,
                                            Mean a, Mean b) {
  const V xh = xhat(s, x), g = passing<Relu>(weight, bias, xh, dy), share = b - V{};
  // Where b is 0, as for constant statistics, so is this term, even if xhat is infinite or NaN.
  return (weight * g - a - (share == 0 ? V{} : xh) * share) * s.rstd;
  //~ return (weight * g - (share == 0 ? V{} : xh) * share) * s.rstd;
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
