#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// What follows an operation in the same pass over memory: max(y, 0), and after that max pooling over windows
/// of 2 x 2 side by side. `norm(x, then::relu)` is relu(norm(x)) and leaves out the trip through memory.
struct Then {
  bool relu = false;
  bool max_pool = false;
  explicit operator bool() const { return relu || max_pool; }
};

namespace then {
inline constexpr Then relu{.relu = true};
inline constexpr Then relu_max_pool{.relu = true, .max_pool = true};
}  // namespace then

/// The same by operations of their own.
Tensor apply(const Then& then, Tensor y);

}  // namespace ballast::inline BALLAST_PRECISION
