#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// y = x W + b, or x W^T + b if `transposed`, recorded as `op`: one product for a single matrix W, of which
/// all leading axes of x count as rows. `bias` may be no tensor; a ReLU follows if `relu`. With `same_bits`
/// the bits for a row of x are the same whatever other rows there are (Epilogue::same_bits).
Tensor times_matrix(const char* op, Tensor x, Tensor w, Tensor bias, bool transposed, bool relu = false,
                    bool same_bits = false);

}  // namespace ballast::inline BALLAST_PRECISION::detail
