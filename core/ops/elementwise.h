#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Arithmetic, element by element. Shapes broadcast by NumPy's rule (see `broadcast`); a number counts as a
// scalar tensor. A sum, product or quotient takes denormal numbers as zero, as operands and as results, since
// each would cost a hundred cycles; PyTorch keeps them by default. Functions that would be far off
// then (log, sqrt, pow) and comparisons (abs's and clamp's gradients, where) keep them.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator-(Tensor x);

Tensor exp(Tensor x);
/// Natural logarithm; log 0 is -inf, as everywhere.
Tensor log(Tensor x);
Tensor sqrt(Tensor x);
/// x^exponent. The gradient at x = 0 is 0 for exponents above 1.
Tensor pow(Tensor x, real exponent);
/// |x|, with gradient 0 at 0.
Tensor abs(Tensor x);
/// x limited to [low, high]; the gradient passes where low <= x <= high.
Tensor clamp(Tensor x, real low, real high);
/// a where condition is not 0, b elsewhere; all three broadcast. No gradient flows into the condition.
Tensor where(const Tensor& condition, Tensor a, Tensor b);

}  // namespace ballast::inline BALLAST_PRECISION
