#pragma once

#include <algorithm>

#include <ballast/layers/functional/conv.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// A window sliding along one axis: its tap `tap` at output `o` sees input o stride - padding + tap dilation.
struct WindowAxis {
  int64_t in, taps, stride, padding, dilation, out;

  WindowAxis(int64_t input_size, int64_t window, int64_t step, int64_t pad, int64_t spread)
      : in(input_size), taps(window), stride(step), padding(pad), dilation(spread) {
    const int64_t room = in + 2 * padding - dilation * (taps - 1) - 1;
    out = room < 0 ? 0 : room / stride + 1;
  }

  int64_t input(int64_t output, int64_t tap) const { return output * stride - padding + tap * dilation; }

  struct Range {
    int64_t begin, end;
  };
  /// The outputs at which `tap` sees an input rather than padding.
  Range outputs(int64_t tap) const {
    const int64_t first = input(0, tap);
    const int64_t end = std::min(out, first < in ? (in - first + stride - 1) / stride : 0);
    return {std::min(first < 0 ? (-first + stride - 1) / stride : 0, end), end};
  }
  /// The taps that see an input at `output`, for a dilation of 1.
  Range inner_taps(int64_t output) const {
    const int64_t first = input(output, 0);
    return {std::max<int64_t>(0, -first), std::min(taps, in - first)};
  }
};

/// Throws ValueError unless both numbers of the option `name` of `op` are at least `least`, and small enough
/// for products of two to stay in range.
inline void check_option(const char* op, const char* name, Pair value, int64_t least) {
  constexpr int64_t most = int64_t{1} << 30;
  check<ValueError>(std::min(value.h, value.w) >= least && std::max(value.h, value.w) <= most,
                    "{}: {} is ({}, {}); both numbers must be from {} to 2^30", op, name, value.h, value.w,
                    least);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
