#pragma once

#include <ballast/core/ops/then.h>
#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// Sizes along height and width. One number sets both.
struct Pair {
  int64_t h, w;
  constexpr Pair(int64_t both) : h(both), w(both) {}
  constexpr Pair(int64_t height, int64_t width) : h(height), w(width) {}
  bool operator==(const Pair&) const = default;
};

struct ConvOptions {
  Pair stride = 1;
  Pair padding = 0;   // zeros on each side
  Pair dilation = 1;  // distance between the taps of the kernel
  int64_t groups = 1;
};

/// Two-dimensional convolution (cross-correlation, as everywhere in deep learning). x (N, C, H, W), weight
/// (O, C/groups, KH, KW), bias (O) or no tensor -> (N, O, H', W') with H' = floor((H + 2 padding - dilation
/// (KH-1) - 1) / stride) + 1. A ReLU may follow in the same pass.
Tensor conv2d(Tensor x, Tensor weight, Tensor bias = {}, const ConvOptions& options = {},
              const Then& then = {});

}  // namespace ballast::inline BALLAST_PRECISION
