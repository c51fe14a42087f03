#pragma once

#include <ballast/core/tape.h>
#include <ballast/layers/functional/then.h>

namespace ballast::inline BALLAST_PRECISION {

/// y = x W^T + b: x (..., in), weight (out, in), bias (out) or no tensor -> (..., out). A ReLU may follow in
/// the same pass.
Tensor linear(Tensor x, Tensor weight, Tensor bias = {}, const Then& then = {});

namespace detail {
/// `linear`, whose bits for a row of x are the same whatever other rows there are (Epilogue::same_bits).
Tensor linear_same_bits(Tensor x, Tensor weight, Tensor bias = {});
}  // namespace detail

}  // namespace ballast::inline BALLAST_PRECISION
