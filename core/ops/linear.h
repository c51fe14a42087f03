#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// The matrix product a b: (M, K) (K, N) -> (M, N). With more axes, one product for each index of the leading
/// axes, which broadcast: (B, M, K) (K, N) -> (B, M, N).
Tensor matmul(Tensor a, Tensor b);

/// y = x W^T + b: x (..., in), weight (out, in), bias (out) or no tensor -> (..., out).
Tensor linear(Tensor x, Tensor weight, Tensor bias = {});

}  // namespace ballast::inline BALLAST_PRECISION
