#include <ballast/layers/functional/detail/unfold.h>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION::detail {

int64_t Unfolding::first_row(int64_t kh) const {
  return (kh - kh % period_) * h_.dilation / h_.stride;
  //~ return (kh + period_ - 1) * h_.dilation / h_.stride;
}

namespace {

// Into L1, for reading. The address may be past the end of the data: prefetching doesn't fault.
void prefetch(const real* plane, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / int64_t{sizeof(real)}) __builtin_prefetch(plane + i);
}

}  // namespace

// A copy reads the rows of a plane with a stride, which the hardware prefetcher doesn't foresee.
void Unfolding::fill(const real* x, int64_t row, int64_t rows, real* to) const {
  const int64_t height = rows + first_row(h_.taps - 1);
  for (int64_t c = 0; c < channels_; ++c) {
    prefetch(x + (c + 2) * h_.in * w_.in, h_.in * w_.in);
    for (int64_t copy = 0; copy < copies_; ++copy, to += height_ * w_.out)
      fill_copy(x + c * h_.in * w_.in, h_.input(row, copy / w_.taps), h_.stride, height, copy % w_.taps, to);
  }
}

// Input rows first, first + step, ... as tap column kw sees them.
void Unfolding::fill_copy(const real* plane, int64_t first, int64_t step, int64_t count, int64_t kw,
                          real* to) const {
  const auto inside = [this](int64_t ih) { return ih >= 0 && ih < h_.in; };
  const int64_t width = w_.out;
  int64_t r = 0;
  while (r < count && !inside(first + r * step)) ++r;
  int64_t inner = r;
  while (inner < count && inside(first + inner * step)) ++inner;
  std::fill(to, to + r * width, real{0});
  std::fill(to + inner * width, to + count * width, real{0});
  if (r == inner) return;

  const auto [begin, end] = w_.outputs(kw);
  const int64_t row_step = step * w_.in;
  const real* from = plane + (first + r * step) * w_.in + w_.input(begin, kw);
  to += r * width;
  const int64_t rows = inner - r, columns = end - begin;
  if (w_.stride == 1 && row_step == width) {  // all rows at once
    if (columns > 0) std::copy_n(from, (rows - 1) * width + columns, to + begin);
  } else if (w_.stride == 1) {
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(from + row * row_step, columns, to + row * width + begin);
  } else if (w_.stride == 2) {
    kernels().copy_every_second(rows, columns, from, row_step, to + begin, width);
  } else {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < columns; ++i)
        to[row * width + begin + i] = from[row * row_step + i * w_.stride];
  }
  // The padding on both sides.
  const auto clear = [=](int64_t column) {
    for (int64_t row = 0; row < rows; ++row) to[row * width + column] = 0;
  };
  for (int64_t column = 0; column < begin; ++column) clear(column);
  for (int64_t column = end; column < width; ++column) clear(column);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
