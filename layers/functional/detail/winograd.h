#pragma once

#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/layers/functional/detail/window.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The weight gradient of a convolution as partial sums, which remain to be added: (parts, groups, panels of
/// filters, weights of a filter, filters of a panel).
struct WeightSums {
  int64_t parts;
  Scratch<real> tables;
};

/// A convolution by Winograd's minimal filtering (Lavin & Gray 2016): F(4 x 4, 3 x 3) needs a quarter of the
/// multiplications, F(2 x 2, 5 x 5) 0.36 of them, for errors of some 5e-6 of the largest result in float.
/// "Frequencies" are the 6 x 6 points of the transform domain.
struct Winograd {
  int64_t n, c, o;
  WindowAxis h, w;

  /// Whether it applies and is faster: 3 x 3 or 5 x 5 taps, stride 1, and enough channels and tiles to
  /// amortise the transforms.
  bool pays() const;
  /// Points of all tiles of an image: so many multiply-adds per channel and filter.
  int64_t image_points() const { return points_of(h.out) * points_of(w.out); }
  /// y = relu(beta y + conv(x) + bias)
  void convolve(const real* x, const real* weight, const real* bias, real beta, bool relu, real* y) const;
  /// By the transposed algorithm.
  WeightSums weight_gradient(const real* x, const real* dy) const;

 private:
  struct Batch;
  struct Memory;
  class Tiles;
  int64_t side() const;     // outputs along a side of a tile
  int64_t weights() const;  // of a filter, per channel
  int64_t image_tiles() const;
  int64_t points_of(int64_t outputs) const;
  bool is_few(int64_t outputs) const;
  PaddedPlane padded_inputs() const;
  Batch forward_batch() const;
  int64_t filter_step() const;
  void transform_inputs(const Batch& batch, const Memory& memory, const real* x, const Tiles& tiles) const;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
