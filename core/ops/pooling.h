#pragma once

#include <optional>

#include <ballast/core/ops/conv.h>

namespace ballast::inline BALLAST_PRECISION {

struct PoolOptions {
  std::optional<Pair> stride = {};  // the window's size unless given
  Pair padding = 0;                 // at most half the window
};

/// The largest element of each window. x (N, C, H, W) -> (N, C, H', W') with H' = floor((H + 2 padding -
/// window) / stride) + 1. Padding is never the largest. The gradient goes to the first largest element of the
/// window.
Tensor max_pool2d(Tensor x, Pair window, const PoolOptions& options = {});

/// The mean of each window, padding counted as zeros (PyTorch's count_include_pad = true).
Tensor avg_pool2d(Tensor x, Pair window, const PoolOptions& options = {});

/// Adaptive average pooling to 1 x 1: (N, C, H, W) -> (N, C, 1, 1).
Tensor global_avg_pool(Tensor x);

}  // namespace ballast::inline BALLAST_PRECISION
