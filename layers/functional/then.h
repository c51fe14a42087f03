#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// What is fused with an operation, in the same pass over memory: a ReLU, then max pooling over windows of 2
/// x 2 that don't overlap. `norm(x, then::relu)` is relu(norm(x)) without writing and reading norm(x).
struct Then {
  bool relu = false;
  bool max_pool = false;
  explicit operator bool() const { return relu || max_pool; }
};

namespace then {
inline constexpr Then relu{.relu = true};
inline constexpr Then relu_max_pool{.relu = true, .max_pool = true};
}  // namespace then

/// Applies `then` to y by separate operations.
Tensor apply(const Then& then, Tensor y);

}  // namespace ballast::inline BALLAST_PRECISION
