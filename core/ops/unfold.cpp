#include <ballast/core/detail/unfold.h>

namespace ballast::inline BALLAST_PRECISION::detail {

void Unfolding::fill(const real* x, int64_t row, int64_t rows, real* to) const {
  const int64_t height = shared_ ? rows + h_.dilation * (h_.taps - 1) : rows;
  for (int64_t c = 0; c < channels_; ++c) {
    for (int64_t copy = 0; copy < copies_; ++copy, to += height_ * w_.out) {
      const int64_t kh = shared_ ? 0 : copy / w_.taps, kw = shared_ ? copy : copy % w_.taps;
      fill_copy(x + c * h_.in * w_.in, h_.input(row, kh), h_.stride, height, kw, to);
    }
  }
}

// Input rows first, first + step, ... as tap column kw sees them.
void Unfolding::fill_copy(const real* plane, int64_t first, int64_t step, int64_t count, int64_t kw,
                          real* to) const {
  const auto inside = [this](int64_t ih) { return ih >= 0 && ih < h_.in; };
  const auto [begin, end] = w_.outputs(kw);
  const int64_t shift = w_.input(0, kw), width = w_.out;
  int64_t r = 0;
  for (; r < count && !inside(first + r * step); ++r) std::fill_n(to + r * width, width, real{0});
  int64_t inner = r;
  while (inner < count && inside(first + inner * step)) ++inner;
  if (step == 1 && w_.stride == 1 && width == w_.in && begin < end && r < inner) {
    // All rows by one copy, then the zeros of the padding on both sides.
    const real* from = plane + (first + r) * width + shift;
    std::copy(from + begin, from + (inner - r - 1) * width + end, to + r * width + begin);
    for (; r < inner; ++r) {
      std::fill(to + r * width, to + r * width + begin, real{0});
      std::fill(to + r * width + end, to + (r + 1) * width, real{0});
    }
  }
  for (; r < inner; ++r) {
    const real* from = plane + (first + r * step) * w_.in + shift;
    real* row = to + r * width;
    std::fill(row, row + begin, real{0});
    if (w_.stride == 1) {
      std::copy(from + begin, from + end, row + begin);
    } else {
      for (int64_t ow = begin; ow < end; ++ow) row[ow] = from[ow * w_.stride];
    }
    std::fill(row + end, row + width, real{0});
  }
  for (; r < count; ++r) std::fill_n(to + r * width, width, real{0});
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
