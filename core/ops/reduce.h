#pragma once

#include <initializer_list>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Reductions over all elements, giving a scalar, or over some axes, which keep size 1 with `keep_axes` and
// vanish without.

/// Sums are formed in double. Of no element, the sum is 0 and the mean NaN, as in PyTorch.
Tensor sum(Tensor x);
Tensor sum(Tensor x, std::initializer_list<int> axes, bool keep_axes = false);
Tensor mean(Tensor x);
Tensor mean(Tensor x, std::initializer_list<int> axes, bool keep_axes = false);
/// The largest element; the gradient goes to the first one that is largest. Throws ShapeError when there is
/// none.
Tensor max(Tensor x);
Tensor max(Tensor x, std::initializer_list<int> axes, bool keep_axes = false);
/// The smallest element, by the same rules.
Tensor min(Tensor x);
Tensor min(Tensor x, std::initializer_list<int> axes, bool keep_axes = false);

/// The variance: squared distances from the mean, added up and divided by their number less `correction`. 1,
/// PyTorch's default, gives the unbiased estimate; 0 the variance that norms use.
Tensor var(Tensor x, int64_t correction = 1);
Tensor var(Tensor x, std::initializer_list<int> axes, int64_t correction = 1, bool keep_axes = false);

/// The index along the last axis of the first largest element: (..., K) -> one label per row. Not
/// differentiable.
Labels argmax(const Tensor& x);

/// `x` summed over the axes along which `shape` broadcasts to its shape: the adjoint of broadcasting. Not
/// recorded.
Tensor sum_to(Tensor x, const Shape& shape);

}  // namespace ballast::inline BALLAST_PRECISION
