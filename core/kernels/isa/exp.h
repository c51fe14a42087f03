#pragma once

#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

/// 1 / n! for the terms of a Taylor series.
template <int Terms>
struct InverseFactorials {
  real at[Terms + 1];
  constexpr InverseFactorials() : at{} {
    double factorial = 1;
    for (int n = 0; n <= Terms; factorial *= ++n) at[n] = static_cast<real>(1 / factorial);
  }
};

/// e^x, to 2 units in the last place; 0 below -86.6 in float and -707.7 in double, shortly before it would be
/// denormal; infinity where it overflows, NaN of NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2: 2^n goes into the exponent, e^r is its Taylor series.
inline Vector exp(Vector x) {
  constexpr bool is_float = sizeof(real) == 4;
  using Whole = decltype(x < x);
  constexpr int mantissa = is_float ? 23 : 52, terms = is_float ? 7 : 13;
  constexpr real round = is_float ? real(12582912) : real(6755399441055744);  // 1.5 2^mantissa
  constexpr real ln2_high = is_float ? real(0.693359375) : real(0.6931471803691238);
  constexpr real ln2_low = is_float ? real(-2.12194440e-4) : real(1.9082149292705877e-10);
  constexpr real least = is_float ? real(-86.6) : real(-707.7),
                 most = is_float ? real(88.72283) : real(709.782712893384);
  const Vector bounded = x < least ? broadcast(least) : x > most ? broadcast(most) : x;
  const Vector shifted = bounded * real(1.4426950408889634) + round, n = shifted - round;
  const Vector r = (bounded - n * ln2_high) - n * ln2_low;
  constexpr InverseFactorials<terms> inverse;
  Vector series = broadcast(inverse.at[terms]);
  for (int i = terms - 1; i >= 0; --i) series = series * r + inverse.at[i];
  Vector bits = shifted;
  Whole exponent;
  __builtin_memcpy(&exponent, &bits, sizeof(exponent));
  // The low bits of `shifted` are n. 2^(n-1), and then twice that: 2^128 itself has no exponent.
  constexpr int bias = is_float ? 127 : 1023;
  exponent = (exponent + (bias - 1)) << mantissa;
  Vector power;
  __builtin_memcpy(&power, &exponent, sizeof(power));
  const Vector y = series * power * 2;
  return x < least ? Vector{} : x > most ? broadcast(__builtin_inff()) : y;
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
