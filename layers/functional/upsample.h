#pragma once

#include <ballast/layers/functional/conv.h>

namespace ballast::inline BALLAST_PRECISION {

enum class UpsampleMode { nearest, bilinear };

/// Enlarges images by whole factors: (N, C, H, W) -> (N, C, factor.h H, factor.w W). `nearest` repeats each
/// element; `bilinear` interpolates between the elements' centres and repeats the border (PyTorch's
/// align_corners = false).
Tensor upsample(Tensor x, Pair factor, UpsampleMode mode = UpsampleMode::nearest);

namespace detail {
/// Both axes of images multiplied by a matrix: columns (W, W') and rows (H, H') give (N, C, H', W').
Tensor along_axes(Tensor x, const Tensor& rows, const Tensor& columns);
}  // namespace detail

}  // namespace ballast::inline BALLAST_PRECISION
