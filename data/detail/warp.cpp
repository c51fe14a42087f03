#include <ballast/data/detail/warp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <ballast/core/detail/scratch.h>

// Compiled without fused operations, so that every machine gets the same bits.
namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// Positions are integers in units of 2^-32 pixels.
constexpr int fraction_bits = 32;
constexpr double one = 0x1p32;

int64_t to_fixed(double position) { return std::llround(position * one); }

int64_t whole(int64_t position) { return position >> fraction_bits; }

/// The part after the point, cut off to 24 bits, which a float holds exactly.
real fraction(int64_t position) {
  return static_cast<real>(static_cast<int32_t>(position >> 8 & 0xffffff)) * static_cast<real>(0x1p-24);
}

// A position from -1 to the size, and the pixel after it, need this many pixels more than the image has.
constexpr int64_t before = 1, margin = 3;

/// A copy of the image within a margin of `fill`.
Scratch<real> framed(const Shape& shape, real fill, const real* x) {
  const int64_t rows = shape[1], columns = shape[2];
  Scratch<real> copy(shape[0] * (rows + margin) * (columns + margin));
  real* to = copy.data();
  for (int64_t c = 0; c < shape[0]; ++c) {
    to = std::fill_n(to, before * (columns + margin), fill);
    for (int64_t row = 0; row < rows; ++row, x += columns) {
      to = std::fill_n(to, before, fill);
      to = std::copy_n(x, columns, to);
      to = std::fill_n(to, margin - before, fill);
    }
    to = std::fill_n(to, (margin - before) * (columns + margin), fill);
  }
  return copy;
}

}  // namespace

void warp(const Shape& shape, const Affine& from, const real* displacement, real fill, real* x) {
  const int64_t channels = shape[0], rows = shape[1], columns = shape[2], pixels = rows * columns;
  const int64_t stride = columns + margin, plane = (rows + margin) * stride;
  const Scratch<real> source = framed(shape, fill, x);
  const int64_t xx = to_fixed(from.xx), xy = to_fixed(from.xy), x0 = to_fixed(from.x0);
  const int64_t yx = to_fixed(from.yx), yy = to_fixed(from.yy), y0 = to_fixed(from.y0);
  const int64_t least = to_fixed(-1), right = to_fixed(static_cast<double>(columns)),
                bottom = to_fixed(static_cast<double>(rows));
  for (int64_t row = 0, pixel = 0; row < rows; ++row) {
    int64_t u = xy * row + x0, v = yy * row + y0;
    for (int64_t column = 0; column < columns; ++column, ++pixel, u += xx, v += yx) {
      const int64_t du =
          displacement ? static_cast<int64_t>(displacement[pixel] * static_cast<real>(one)) : 0;
      const int64_t dv =
          displacement ? static_cast<int64_t>(displacement[pixels + pixel] * static_cast<real>(one)) : 0;
      const int64_t from_column = std::clamp(u + du, least, right);
      const int64_t from_row = std::clamp(v + dv, least, bottom);
      const real s = fraction(from_column), t = fraction(from_row);
      const real* corner = source.data() + (whole(from_row) + before) * stride + whole(from_column) + before;
      for (int64_t c = 0; c < channels; ++c, corner += plane) {
        const real above = corner[0] + s * (corner[1] - corner[0]);
        const real below = corner[stride] + s * (corner[stride + 1] - corner[stride]);
        x[c * pixels + pixel] = above + t * (below - above);
      }
    }
  }
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
