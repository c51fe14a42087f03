#pragma once

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/window.h>

namespace ballast::inline BALLAST_PRECISION {

/// A convolution by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray 2016): a quarter of the
/// multiplications, for errors of some 5e-6 of the largest result in float.
struct Winograd {
  int64_t n, c, o;
  WindowAxis h, w;

  /// Whether it applies, and wins: 3 x 3 taps, a stride of 1, and enough channels and tiles to outweigh the
  /// transforms.
  bool pays() const;
  /// y = relu(beta y + conv(x) + bias)
  void convolve(const real* x, const real* weight, const real* bias, real beta, bool relu, real* y) const;
  /// dw = beta dw + the weights' gradient, by the transposed algorithm.
  void weight_gradient(const real* x, const real* dy, real beta, real* dw) const;

 private:
  struct Batch;
  struct Memory;
  int64_t image_tiles() const;
  template <class Body>
  void for_tiles(int64_t first, int64_t count, Body body) const;
  Frame padded_inputs() const;
  void transform_inputs(const Batch& batch, const Memory& memory, int64_t first, int64_t count) const;
};

}  // namespace ballast::inline BALLAST_PRECISION
