#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// What is fused with an operation, in the same pass over memory: an activation, then max pooling over
/// windows of 2 x 2 that don't overlap. `norm(x, then::relu)` is relu(norm(x)) without writing and reading
/// norm(x). Norms fuse GELU and SiLU only together with pooling; without it these are operations of their
/// own.
struct Then {
  enum class Activation { none, relu, gelu, silu } activation = Activation::none;
  bool max_pool = false;

  bool relu() const { return activation == Activation::relu; }
  /// GELU and SiLU fall to their least value and rise from there. Of some x, the largest f(x) is therefore
  /// that of the largest or of the least x.
  bool falls_and_rises() const { return activation == Activation::gelu || activation == Activation::silu; }
  explicit operator bool() const { return activation != Activation::none || max_pool; }
};

namespace then {
inline constexpr Then relu{.activation = Then::Activation::relu};
inline constexpr Then relu_max_pool{.activation = Then::Activation::relu, .max_pool = true};
}  // namespace then

/// Applies `then` to y by separate operations.
Tensor apply(const Then& then, Tensor y);

namespace detail {
/// max_pool2d(f(x), 2) in one pass, for an activation f that falls and rises.
Tensor max_pool_activated(const Tensor& x, Then::Activation activation);
}  // namespace detail

}  // namespace ballast::inline BALLAST_PRECISION
