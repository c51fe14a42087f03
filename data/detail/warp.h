#pragma once

#include <ballast/core/shape.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Where in the old image a pixel of the new one comes from: column xx * column + xy * row + x0, row
/// yx * column + yy * row + y0.
struct Affine {
  double xx = 1, xy = 0, x0 = 0;
  double yx = 0, yy = 1, y0 = 0;
};

/// Resamples the image x (C, H, W), bilinearly, in its place; what lies beyond the edges is `fill`. If
/// `displacement` (2, H, W) isn't null, pixel (row, column) comes from as many columns, and rows, further on.
/// Positions are rounded to 2^-32 pixels, so that maps onto whole pixels give the pixels exactly.
void warp(const Shape& shape, const Affine& from, const real* displacement, real fill, real* x);

}  // namespace ballast::inline BALLAST_PRECISION::detail
