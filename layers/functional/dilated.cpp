#include <ballast/layers/functional/detail/dilated.h>

#include <algorithm>

#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// One axis of an image and of its phases: element i of phase p is at i dilation + p - padding.
struct PhasedAxis {
  int64_t size, padding, dilation, phase_size;

  int64_t first(int64_t phase) const {
    return std::min(divide_up(std::max<int64_t>(padding - phase, 0), dilation), phase_size);
  }
  int64_t end(int64_t phase) const {
    return std::clamp(divide_up(size + padding - phase, dilation), first(phase), phase_size);
  }
  int64_t at(int64_t phase, int64_t i) const { return i * dilation + phase - padding; }
};

// Calls body(plane, p, q, phase) for all planes and their phases p of the rows and q of the columns; `plane`
// and `phase` are positions in the memory of images and of phases.
template <class Body>
void for_each_phase(int64_t images, int64_t channels, const PhasedAxis& h, const PhasedAxis& w, Body body) {
  parallel_for(images * channels, row_grain(h.size * w.size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / channels, channel = i % channels;
      for (int64_t p = 0; p < h.dilation; ++p) {
        for (int64_t q = 0; q < w.dilation; ++q)
          body(i, p, q, ((image * h.dilation + p) * w.dilation + q) * channels + channel);
      }
    }
  });
}

void split(int64_t images, int64_t channels, const PhasedAxis& h, const PhasedAxis& w, const real* x,
           real* to) {
  const int64_t width = w.phase_size;
  for_each_phase(images, channels, h, w, [&](int64_t plane, int64_t p, int64_t q, int64_t phase) {
    const int64_t top = h.first(p), bottom = h.end(p), left = w.first(q), right = w.end(q);
    const int64_t rows = bottom - top, columns = right - left, row_step = h.dilation * w.size;
    real* at = to + phase * h.phase_size * width;
    if (rows * columns < h.phase_size * width) std::fill_n(at, h.phase_size * width, real{0});
    //~
    if (rows == 0 || columns == 0) return;
    const real* from = x + (plane * h.size + h.at(p, top)) * w.size + w.at(q, left);
    at += top * width + left;
    if (w.dilation == 1) return kernels().copy_rows(rows, columns, from, row_step, at, width);
    if (w.dilation == 2) return kernels().copy_every_second(rows, columns, from, row_step, at, width);
    for (int64_t row = 0; row < rows; ++row, from += row_step, at += width)
      for (int64_t i = 0; i < columns; ++i) at[i] = from[i * w.dilation];
  });
}

// That of the padded input.
WindowAxis phase_of(const WindowAxis& a) {
  return {divide_up(a.in + 2 * a.padding, a.dilation), a.taps, 1, 0, 1};
}

PhasedAxis inputs_of(const WindowAxis& a, const WindowAxis& phase) {
  return {a.in, a.padding, a.dilation, phase.in};
}
PhasedAxis outputs_of(const WindowAxis& a, const WindowAxis& phase) {
  return {a.out, 0, a.dilation, phase.out};
}

}  // namespace

Dilated::Dilated(const Convolution& convolution)
    : s(convolution),
      phases{.n = s.n * s.h.dilation * s.w.dilation,
             .c = s.c,
             .o = s.o,
             .groups = s.groups,
             .h = phase_of(s.h),
             .w = phase_of(s.w)} {}

void Dilated::split_inputs(const real* x, real* to) const {
  split(s.n, s.c, inputs_of(s.h, phases.h), inputs_of(s.w, phases.w), x, to);
}

void Dilated::split_outputs(const real* y, real* to) const {
  split(s.n, s.o, outputs_of(s.h, phases.h), outputs_of(s.w, phases.w), y, to);
}

void Dilated::join_outputs(const real* from, real beta, real* y) const {
  const PhasedAxis h = outputs_of(s.h, phases.h), w = outputs_of(s.w, phases.w);
  for_each_phase(s.n, s.o, h, w, [&](int64_t plane, int64_t p, int64_t q, int64_t phase) {
    const real* row = from + phase * phases.outputs;
    for (int64_t i = 0; i < h.end(p); ++i, row += w.phase_size) {
      real* to = y + (plane * h.size + h.at(p, i)) * w.size + q;
      for (int64_t j = 0; j < w.end(q); ++j) {
        real& result = to[j * w.dilation];
        result = (beta == 0 ? 0 : beta * result) + row[j];
        //~ result = row[j];
      }
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
