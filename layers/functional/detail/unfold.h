#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <ballast/layers/functional/detail/window.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The input of a convolution laid out so that each weight of a filter, tap (c, kh, kw), sees a contiguous
/// row of inputs, one for every output of a block of whole output rows. All kh that see the same rows of the
/// plane, such as kh = 0 and 2 with a stride of 2, share one copy of these rows, shifted sideways by kw, in
/// which they begin at different rows. With a stride of 1, that makes KW copies instead of im2col's KH KW.
class Unfolding {
 public:
  /// For blocks of `rows` output rows of `channels` planes.
  Unfolding(int64_t channels, const WindowAxis& h, const WindowAxis& w, int64_t rows)
      : h_(h),
        w_(w),
        channels_(channels),
        period_(h.stride / std::gcd(h.stride, h.dilation)),
        copies_(std::min(period_, h.taps) * w.taps),
        height_(rows + first_row(h.taps - 1)) {}

  /// Elements, not counting what vector loads read after the last row.
  int64_t size() const { return channels_ * copies_ * height_ * w_.out; }
  /// Where the row of tap number (c, kh, kw) begins.
  int64_t offset(int64_t tap) const {
    const int64_t kw = tap % w_.taps, kh = tap / w_.taps % h_.taps, c = tap / w_.taps / h_.taps;
    return ((c * copies_ + kh % period_ * w_.taps + kw) * height_ + first_row(kh)) * w_.out;
  }
  /// Lays out what output rows row, ..., row + rows - 1 see of the planes at x.
  void fill(const real* x, int64_t row, int64_t rows, real* to) const;

 private:
  // Where the rows that kh sees begin in its copy.
  int64_t first_row(int64_t kh) const;
  void fill_copy(const real* plane, int64_t first, int64_t step, int64_t count, int64_t kw, real* to) const;

  WindowAxis h_, w_;
  int64_t channels_;
  int64_t period_;  // of the kh that see the same rows
  int64_t copies_, height_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
