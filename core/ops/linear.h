#pragma once

#include <ballast/core/ops/then.h>
#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// The matrix product a b: (M, K) (K, N) -> (M, N). With more axes, one product for each index of the leading
/// axes, which broadcast: (B, M, K) (K, N) -> (B, M, N).
Tensor matmul(Tensor a, Tensor b);

/// y = x W^T + b: x (..., in), weight (out, in), bias (out) or no tensor -> (..., out). A ReLU may follow in
/// the same pass.
Tensor linear(Tensor x, Tensor weight, Tensor bias = {}, const Then& then = {});

namespace detail {
/// `linear`, whose bits for a row of x are the same whatever other rows there are (Epilogue::same_bits).
Tensor linear_same_bits(Tensor x, Tensor weight, Tensor bias = {});
}  // namespace detail

}  // namespace ballast::inline BALLAST_PRECISION
