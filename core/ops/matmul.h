#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// The matrix product a b: (M, K) (K, N) -> (M, N). With more axes, one product for each index of the leading
/// axes, which broadcast: (B, M, K) (K, N) -> (B, M, N).
Tensor matmul(Tensor a, Tensor b);

}  // namespace ballast::inline BALLAST_PRECISION
