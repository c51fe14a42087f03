#pragma once

#include <cstdint>

#include <ballast/core/detail/window.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The input of a convolution laid out so that each weight of a filter, tap (c, kh, kw), sees a contiguous
/// row of inputs, one for every output of a block of whole output rows. With a stride of 1, all kh of a kw
/// share one copy of the plane, shifted sideways, in which they begin at different rows: KW copies of each
/// plane instead of im2col's KH KW.
class Unfolding {
 public:
  /// For blocks of `rows` output rows of `channels` planes.
  Unfolding(int64_t channels, const WindowAxis& h, const WindowAxis& w, int64_t rows)
      : h_(h),
        w_(w),
        channels_(channels),
        shared_(h.stride == 1),
        copies_(shared_ ? w.taps : h.taps * w.taps),
        height_(shared_ ? rows + h.dilation * (h.taps - 1) : rows) {}

  /// Elements, not counting what vector loads read after the last row.
  int64_t size() const { return channels_ * copies_ * height_ * w_.out; }
  /// Where the row of tap number (c, kh, kw) begins.
  int64_t offset(int64_t tap) const {
    const int64_t kw = tap % w_.taps, kh = tap / w_.taps % h_.taps, c = tap / w_.taps / h_.taps;
    const int64_t copy = shared_ ? kw : kh * w_.taps + kw, row = shared_ ? kh * h_.dilation : 0;
    return ((c * copies_ + copy) * height_ + row) * w_.out;
  }
  /// Lays out what output rows row, ..., row + rows - 1 see of the planes at x.
  void fill(const real* x, int64_t row, int64_t rows, real* to) const;

 private:
  void fill_copy(const real* plane, int64_t first, int64_t step, int64_t count, int64_t kw, real* to) const;

  WindowAxis h_, w_;
  int64_t channels_;
  bool shared_;
  int64_t copies_, height_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
