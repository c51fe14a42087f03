#pragma once

#include <utility>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Arithmetic, element by element. Shapes broadcast by NumPy's rule (see `broadcast`); a number counts as a
// scalar tensor. A sum, product or quotient takes denormal numbers as zero, as operands and as results, since
// each would cost a hundred cycles; PyTorch keeps them by default. Functions of one number keep them, and so
// do gradients that would be far off without (those of log, log1p, sqrt, pow, abs and clamp).
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator-(Tensor x);

// `x += y` is `x = x + y`: x becomes a new value, and copies of the old one keep that.
inline Tensor& operator+=(Tensor& x, Tensor y) { return x = std::move(x) + std::move(y); }
inline Tensor& operator-=(Tensor& x, Tensor y) { return x = std::move(x) - std::move(y); }
inline Tensor& operator*=(Tensor& x, Tensor y) { return x = std::move(x) * std::move(y); }
inline Tensor& operator/=(Tensor& x, Tensor y) { return x = std::move(x) / std::move(y); }

/// The larger, or the smaller, of two elements; NaN if one of them is NaN. Shapes broadcast. Where they are
/// equal, each gets half of the gradient, as in PyTorch.
Tensor maximum(Tensor a, Tensor b);
Tensor minimum(Tensor a, Tensor b);

// Comparisons give 1 where they hold and 0 elsewhere, for `where` and for counting. Shapes broadcast; no
// gradient flows through.
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator==(const Tensor& a, const Tensor& b);
Tensor operator!=(const Tensor& a, const Tensor& b);

// Functions are accurate to 4 units in the last place in float and 1e-14 in double.
Tensor exp(Tensor x);
/// e^x - 1, accurate near 0.
Tensor expm1(Tensor x);
/// Natural logarithm; log 0 is -inf, as everywhere.
Tensor log(Tensor x);
/// log(1 + x), accurate near 0.
Tensor log1p(Tensor x);
Tensor sqrt(Tensor x);
/// The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
Tensor erf(Tensor x);
/// x^exponent. The gradient at x = 0 is 0 for exponents above 1.
Tensor pow(Tensor x, real exponent);
/// |x|, with gradient 0 at 0.
Tensor abs(Tensor x);
/// x limited to [low, high]; the gradient passes where low <= x <= high.
Tensor clamp(Tensor x, real low, real high);
/// a where condition is not 0, b elsewhere; all three broadcast. No gradient flows into the condition.
Tensor where(const Tensor& condition, Tensor a, Tensor b);

}  // namespace ballast::inline BALLAST_PRECISION
