#pragma once

#include <ballast/core/tape.h>
#include <ballast/layers/functional/then.h>

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

struct ConvTransposeOptions {
  Pair stride = 1;
  Pair padding = 0;         // taken off each side of the result
  Pair output_padding = 0;  // rows and columns added at its end, fewer than the stride
  Pair dilation = 1;
  int64_t groups = 1;
};

/// The adjoint of a convolution, which is what its input gradient computes (Zeiler et al. 2010 call it
/// deconvolution): x (N, C, H, W), weight (C, O/groups, KH, KW), bias (O) or no tensor -> (N, O, H', W') with
/// H' = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.
Tensor conv_transpose2d(Tensor x, Tensor weight, Tensor bias = {}, const ConvTransposeOptions& options = {});

}  // namespace ballast::inline BALLAST_PRECISION
