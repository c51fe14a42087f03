#pragma once

#include <limits>

#include <ballast/core/kernels/isa/vector.h>

// Elementary functions of vectors. Errors are at most 4 units in the last place in float and 1e-14 in double
// over the whole range: denormal numbers, infinities and NaN included. Each is the series or identity that
// its comment states; coefficients of Taylor series are computed, not listed.
namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

constexpr bool is_float = sizeof(real) == sizeof(float);
constexpr real infinity = std::numeric_limits<real>::infinity();
constexpr real not_a_number = std::numeric_limits<real>::quiet_NaN();
constexpr real least_normal = std::numeric_limits<real>::min();

constexpr Integer mantissa_bits = is_float ? 23 : 52, exponent_bias = is_float ? 127 : 1023;
constexpr Integer sign_bit = std::numeric_limits<Integer>::min();

inline Integers bits_of(Vector x) { return reinterpret_cast<Integers>(x); }
inline Vector from_bits(Integers bits) { return reinterpret_cast<Vector>(bits); }
/// 2^n, for exponents of normal numbers.
inline Vector power_of_two(Integers n) { return from_bits((n + exponent_bias) << mantissa_bits); }

/// a where the condition holds, else b.
inline Vector select(Integers condition, Vector a, Vector b) { return condition ? a : b; }
inline Vector select(Integers condition, real a, Vector b) { return condition ? broadcast(a) : b; }
inline Vector select(Integers condition, Vector a, real b) { return condition ? a : broadcast(b); }
inline Vector select(Integers condition, real a, real b) { return condition ? broadcast(a) : broadcast(b); }

inline Vector abs(Vector x) { return from_bits(bits_of(x) & ~sign_bit); }
/// |size| with the sign of x.
inline Vector with_sign_of(Vector x, Vector size) {
  return from_bits((bits_of(size) & ~sign_bit) | (bits_of(x) & sign_bit));
}
inline Vector sign(Vector x) { return select(x > 0, 1, select(x < 0, -1, x * 0)); }
inline Vector clamp(Vector x, real low, real high) { return min(broadcast(high), max(broadcast(low), x)); }

/// x without the lower half of its mantissa, so that its square is exact.
inline Vector leading_half(Vector x) { return from_bits(bits_of(x) & (Integer{-1} << (is_float ? 12 : 27))); }

/// A number as the sum of two, the second being the rounding error of the first.
struct Pair {
  Vector high, low;
};
/// -x^2 / 2, exactly but for the last bits of its low part.
inline Pair minus_half_square(Vector x) {
  const Vector high = leading_half(x);
  return {high * high * real(-0.5), (x - high) * (x + high) * real(-0.5)};
}
inline Pair product(Vector a, real b) {
  const Vector a_high = leading_half(a), b_high = leading_half(broadcast(b));
  const Vector a_low = a - a_high, b_low = b - b_high, high = a * b;
  return {high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low};
}
/// a + b where |a| >= |b| or a is 0.
inline Pair sum(Vector a, Vector b) {
  const Vector high = a + b;
  return {high, b - (high - a)};
}

template <class Coefficients>
inline Vector polynomial(const Coefficients& c, Vector x) {
  constexpr int count = sizeof(c.at) / sizeof(c.at[0]);
  Vector y = broadcast(c.at[count - 1]);
  for (int i = count - 2; i >= 0; --i) y = y * x + c.at[i];
  return y;
}

/// 1 / (n + 1)!
template <int terms>
struct InverseFactorials {
  real at[terms];
  constexpr InverseFactorials() : at{} {
    double factorial = 1;
    for (int n = 0; n < terms; ++n) {
      factorial *= n + 1;
      at[n] = static_cast<real>(1 / factorial);
    }
  }
};

// Exponentials
// ---------------------------------------------------------------------------------------------------------

// ln 2 in two parts, of which a product of the first with an exponent is exact.
constexpr real ln2_high = is_float ? real(0.693359375) : real(0.6931471803691238);
constexpr real ln2_low = is_float ? real(-2.12194440e-4) : real(1.9082149292705877e-10);

/// x + low = n ln 2 + r with |r| <= ln 2 / 2. x is limited to where e^x is 0 or infinite, so that n / 2 is
/// the exponent of a normal number; the lower limit is where 2^(n / 2) becomes 0.
struct Reduced {
  Integers n;
  Vector r;
};
inline Reduced reduce(Vector x, Vector low) {
  constexpr real rounding = is_float ? real(12582912) : real(6755399441055744);  // 1.5 2^mantissa_bits
  const Vector bounded = clamp(x, is_float ? -176 : -1418, is_float ? 90 : 711);
  const Vector shifted = bounded * real(1.4426950408889634) + rounding, n = shifted - rounding;
  // The low bits of `shifted` are n.
  return {bits_of(shifted) - bits_of(broadcast(rounding)), (bounded - n * ln2_high) - n * ln2_low + low};
}

/// v e^(x + low), rounded once where the result is denormal. `low` is small beside x.
inline Vector times_exp(Vector v, Vector x, Vector low = Vector{}) {
  constexpr InverseFactorials<is_float ? 7 : 13> inverse;
  const auto [n, r] = reduce(x, low);
  const Integers half = n >> 1;
  const Vector scaled = v * power_of_two(half);
  return (scaled + scaled * (r * polynomial(inverse, r))) * power_of_two(n - half);
}
inline Vector exp(Vector x, Vector low = Vector{}) { return times_exp(broadcast(1), x, low); }

/// e^x - 1 = 2^n (e^r - 1) + 2^n - 1
inline Vector expm1(Vector x) {
  constexpr InverseFactorials<is_float ? 7 : 13> inverse;
  const auto [n, r] = reduce(clamp(x, -40, is_float ? 89 : 710), Vector{});
  // 2^(n-1), and then twice that: 2^128 itself has no exponent in float.
  const Vector half_power = power_of_two(n - 1);
  return (half_power * (r * polynomial(inverse, r)) + (half_power - real(0.5))) * 2;
}

/// tanh |x| = -t / (t + 2) with t = e^(-2|x|) - 1
inline Vector tanh(Vector x) {
  const Vector t = expm1(abs(x) * -2);
  return with_sign_of(x, t / (t + 2));
}

/// v / (1 + e^-x). For x < 0 it is v e^x / (1 + e^x).
inline Vector times_sigmoid(Vector v, Vector x) {
  const Vector size = -abs(x), quotient = v / (1 + exp(size));
  return select(x < 0, times_exp(quotient, size), quotient);
}
inline Vector sigmoid(Vector x) { return times_sigmoid(broadcast(1), x); }

// Logarithms and powers
// ---------------------------------------------------------------------------------------------------------

/// 2 / (2 i + first)
template <int terms, int first>
struct ArtanhSeries {
  real at[terms];
  constexpr ArtanhSeries() : at{} {
    for (int i = 0; i < terms; ++i) at[i] = static_cast<real>(2.0 / (2 * i + first));
  }
};
using LogarithmSeries = ArtanhSeries<is_float ? 5 : 11, 3>;

/// A positive number as 2^exponent (1 + fraction), with 1 + fraction from sqrt(1/2) to sqrt(2).
struct Scaled {
  Vector exponent, fraction;
};
inline Scaled scaled(Vector x) {
  constexpr Integer denormal_shift = mantissa_bits + 1;
  const Integers denormal = x < least_normal;
  const Integers bits = bits_of(select(denormal, x * real(Integer{1} << denormal_shift), x));
  const Integers root_half = bits_of(broadcast(real(0.70710678118654752)));
  const Integers exponent = (bits - root_half) >> mantissa_bits;
  return {__builtin_convertvector(exponent + (denormal & -denormal_shift), Vector),
          from_bits(bits - (exponent << mantissa_bits)) - 1};
}

/// ln(1 + f) = 2 artanh s with s = f / (2 + f), which is f - s (f - 2 s^2 (1/3 + s^2/5 + ...)).
inline Vector log(Vector x) {
  constexpr LogarithmSeries series;
  const auto [exponent, f] = scaled(x);
  const Vector s = f / (2 + f), square = s * s;
  const Vector y =
      exponent * ln2_high + (exponent * ln2_low + (f - s * (f - square * polynomial(series, square))));
  return select(x > 0, select(x == infinity, x, y), select(x == 0, -infinity, not_a_number));
}

/// ln(1 + x): the logarithm of the rounded sum, and what its rounding lost (Kahan).
inline Vector log1p(Vector x) {
  const Vector sum = 1 + x, y = log(sum);
  return select((sum > 0) & (sum < infinity), y + (x - (sum - 1)) / sum, y);
}

/// ln x in two parts, for positive finite x: like log, with the rounding errors of s and of the sum.
inline Pair log_pair(Vector x) {
  constexpr LogarithmSeries series;
  const auto [exponent, f] = scaled(x);
  const Pair below = sum(broadcast(2), f);
  const Vector s = f / below.high, s_high = leading_half(s), below_high = leading_half(below.high);
  const Vector below_low = below.high - below_high;
  const Vector remainder = ((f - s_high * below_high) - s_high * below_low) - (s - s_high) * below.high;
  const Vector s_low = (remainder - s * below.low) / below.high;
  const Vector square = s * s, rest = 2 * s_low + s * square * polynomial(series, square);
  const Pair whole = sum(exponent * ln2_high, 2 * s);
  return sum(whole.high, whole.low + (exponent * ln2_low + rest));
}

// Square roots that don't set errno, so that loops with them are vectorized.
inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }
inline Vector sqrt(Vector x) {
  for (int64_t lane = 0; lane < lanes; ++lane) x[lane] = root(x[lane]);
  return x;
}

/// x^exponent = e^(exponent ln |x|), with the sign and the special cases of C's pow.
inline Vector pow(Vector x, real exponent) {
  if (exponent == 0) return broadcast(1);
  if (exponent == 1) return x;
  if (exponent == 2) return x * x;
  if (exponent == 3) return x * x * x;
  if (exponent == -1) return 1 / x;
  if (exponent == -2) return (1 / x) * (1 / x);
  // Unlike a square root, (-inf)^0.5 is inf, and (-0)^0.5 is 0.
  if (exponent == real(0.5)) return sqrt(select(x == -infinity, infinity, x + 0));
  if (exponent == real(-0.5)) return 1 / sqrt(select(x == -infinity, infinity, x + 0));
  const bool whole = __builtin_trunc(exponent) == exponent,
             odd = whole && __builtin_trunc(exponent / 2) != exponent / 2;
  constexpr real most = is_float ? real(1e30) : real(1e300);  // as good as infinite
  const real power = exponent > most ? most : exponent < -most ? -most : exponent;
  const Vector size = abs(x);
  const auto [log_high, log_low] = log_pair(size);
  const auto [high, low] = product(log_high, power);
  Vector y = exp(high, select(abs(high) < 1000, low + log_low * power, 0));
  y = select(size == 0, power > 0 ? 0 : power < 0 ? infinity : power, y);
  y = select(size == infinity, power > 0 ? infinity : power < 0 ? 0 : power, y);
  if (odd) y = with_sign_of(x, y);
  if (!whole) y = select((x < 0) & (size < infinity), not_a_number, y);
  return select(x == x, y, x);
}

// The normal distribution
// ---------------------------------------------------------------------------------------------------------

/// (1 + sqrt(2 / pi) u) 2 e^(u^2/2) Phi(-u) = sum c_k T_k(t) with t = (u - 3 sqrt 2) / (u + 3 sqrt 2), for u
/// >= 0, where Phi is the distribution function of the normal distribution (the form is that of Shepherd &
/// Laframboise 1981, for erfc(x) = 2 Phi(-sqrt(2) x)). The c_k are integrals, computed in 50 digits; here the
/// sum is brought into powers of t.
template <int terms>
struct ScaledTail {
  real at[terms];
  constexpr ScaledTail() : at{} {
    constexpr double c[25] = {0.808126171574594696,     -0.194689799021377431,    0.0169961054885798047,
                              0.0111016004322336862,    -0.00650456315829862458,  0.0018839165488798612,
                              -0.000313429702437268302, 0.0000152313377577120043, 5.66506301598630038e-6,
                              -1.10113657885724034e-6,  -6.31293846131648643e-8,  3.9360949050045538e-8,
                              2.25767734414657473e-11,  -1.38958511408530138e-9,  2.57074210270869041e-11,
                              5.36766371583839778e-11,  -5.14733355045464101e-13, -2.25958862880735091e-12,
                              -5.63358567485630648e-14, 9.87192623033270163e-14,  8.24009717593284357e-15,
                              -4.14655241746241338e-15, -7.23066806781722893e-16, 1.45878517876590527e-16,
                              5.11443920806048856e-17};
    // T_k = 2 t T_(k-1) - T_(k-2)
    double before[terms] = {}, current[terms] = {1}, sum[terms] = {c[0]};
    for (int k = 1; k < terms; ++k) {
      double next[terms] = {};
      for (int i = 0; i < terms; ++i)
        next[i] = (i > 0 ? (k > 1 ? 2 : 1) * current[i - 1] : 0) - (k > 1 ? before[i] : 0);
      for (int i = 0; i < terms; ++i) before[i] = current[i], current[i] = next[i], sum[i] += c[k] * next[i];
    }
    for (int i = 0; i < terms; ++i) at[i] = static_cast<real>(sum[i]);
  }
};

/// 2 e^(u^2/2) Phi(-u) for u >= 0.
inline Vector scaled_tail(Vector u) {
  constexpr ScaledTail<is_float ? 12 : 25> coefficients;
  constexpr real middle = real(4.242640687119285), slope = real(0.7978845608028654);
  return polynomial(coefficients, (u - middle) / (u + middle)) / (1 + slope * u);
}

/// |x|, limited to where the density is 0: infinity has no scaled_tail.
inline Vector normal_size(Vector x) { return min(broadcast(is_float ? 20 : 60), abs(x)); }

/// v Phi(x)
inline Vector times_normal_cdf(Vector v, Vector x) {
  const Vector size = normal_size(x), tail = scaled_tail(size) * real(0.5);
  const auto [high, low] = minus_half_square(size);
  return select(x < 0, times_exp(v * tail, high, low), v * (1 - times_exp(tail, high, low)));
}
inline Vector normal_cdf(Vector x) { return times_normal_cdf(broadcast(1), x); }

/// v e^(-x^2/2) / sqrt(2 pi)
inline Vector times_normal_density(Vector v, Vector x) {
  const auto [high, low] = minus_half_square(normal_size(x));
  return times_exp(v * real(0.39894228040143268), high, low);
}

/// 2 / sqrt(pi) (-1)^i / (i! (2 i + 1))
template <int terms>
struct ErfSeries {
  real at[terms];
  constexpr ErfSeries() : at{} {
    double factor = 1.1283791670955126;
    for (int i = 0; i < terms; factor /= -++i) at[i] = static_cast<real>(factor / (2 * i + 1));
  }
};

/// The Taylor series where 1 - erfc(x) would cancel.
inline Vector erf(Vector x) {
  constexpr ErfSeries<is_float ? 7 : 13> series;
  const Vector size = clamp(abs(x), 0, is_float ? 5 : 10);
  const Vector rest = scaled_tail(size * real(1.4142135623730951)) * exp(-size * size);
  const Vector y = select(abs(x) < real(0.5), x * polynomial(series, x * x), with_sign_of(x, 1 - rest));
  return select(x == x, y, x);
}

// Activations
// ---------------------------------------------------------------------------------------------------------

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
inline Vector softplus(Vector x) { return max(x, Vector{}) + log1p(exp(-abs(x))); }

/// d/dx v sigmoid(u) for v = x and u' = slope
inline Vector times_sigmoid_slope(Vector x, Vector u, Vector slope) {
  const Vector s = sigmoid(u);
  return s + x * s * (1 - s) * slope;
}

/// Cross-entropy of the probabilities t and sigmoid(x). 0 times an infinite logit counts as 0, its limit.
inline Vector logit_loss(Vector x, Vector t) {
  const Vector weight = select(x >= 0, 1 - t, -t);
  return select(weight == 0, 0, weight * x) + log1p(exp(-abs(x)));
}

/// sqrt(2 / pi) (x + 0.044715 x^3), twice: (1 + tanh u) / 2 = sigmoid(2 u)
inline Vector gelu_argument(Vector x) {
  return x * (real(1.5957691216057308) + real(0.07135481627260025) * x * x);
}
inline Vector gelu_argument_slope(Vector x) {
  return real(1.5957691216057308) + real(3 * 0.07135481627260025) * x * x;
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
