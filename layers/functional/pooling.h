#pragma once

#include <optional>

#include <ballast/layers/functional/conv.h>

namespace ballast::inline BALLAST_PRECISION {

struct PoolOptions {
  std::optional<Pair> stride = {};  // the window's size unless given
  Pair padding = 0;                 // at most half the window
  bool ceil_mode = false;           // round the number of windows up: the last may reach beyond the padding
  bool count_include_pad = true;    // of averages: padding counts as zeros
};

/// The largest element of each window. x (N, C, H, W) -> (N, C, H', W') with H' = floor((H + 2 padding -
/// window) / stride) + 1, or with ceil_mode the ceiling, as in PyTorch. Padding is never the largest. The
/// gradient goes to the first largest element of the window.
Tensor max_pool2d(Tensor x, Pair window, const PoolOptions& options = {});

/// The mean of each window. What ceil_mode adds beyond the padding never counts.
Tensor avg_pool2d(Tensor x, Pair window, const PoolOptions& options = {});

/// The means of size.h x size.w windows that cover x evenly: along an axis, window i is elements floor(i H /
/// H') to ceil((i + 1) H / H') - 1, as in PyTorch.
Tensor adaptive_avg_pool2d(Tensor x, Pair size);

/// Adaptive average pooling to 1 x 1: (N, C, H, W) -> (N, C, 1, 1).
Tensor global_avg_pool(Tensor x);

}  // namespace ballast::inline BALLAST_PRECISION
