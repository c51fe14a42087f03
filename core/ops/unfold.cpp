#include <ballast/core/detail/unfold.h>

namespace ballast::inline BALLAST_PRECISION::detail {

int64_t Unfolding::first_row(int64_t kh) const {
  return (kh - kh % period_) * h_.dilation / h_.stride;
  //~ return (kh + period_ - 1) * h_.dilation / h_.stride;
}

void Unfolding::fill(const real* x, int64_t row, int64_t rows, real* to) const {
  const int64_t height = rows + first_row(h_.taps - 1);
  for (int64_t c = 0; c < channels_; ++c) {
    for (int64_t copy = 0; copy < copies_; ++copy, to += height_ * w_.out)
      fill_copy(x + c * h_.in * w_.in, h_.input(row, copy / w_.taps), h_.stride, height, copy % w_.taps, to);
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
    const auto clear = [=](int64_t column) {
      for (int64_t row = r; row < inner; ++row) to[row * width + column] = 0;
    };
    for (int64_t column = 0; column < begin; ++column) clear(column);
    for (int64_t column = end; column < width; ++column) clear(column);
    r = inner;
  }
  for (; r < inner; ++r) {
    const real* from = plane + (first + r * step) * w_.in + shift;
    real* row = to + r * width;
    std::fill(row, row + begin, real{0});
    if (w_.stride == 1) {
      std::copy(from + begin, from + end, row + begin);
    } else if (w_.stride == 2) {  // with a constant, the compiler uses vectors
      for (int64_t ow = begin; ow < end; ++ow) row[ow] = from[ow * 2];
    } else {
      for (int64_t ow = begin; ow < end; ++ow) row[ow] = from[ow * w_.stride];
    }
    std::fill(row + end, row + width, real{0});
  }
  for (; r < count; ++r) std::fill_n(to + r * width, width, real{0});
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
