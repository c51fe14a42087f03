#include <ballast/layers/functional/detail/depthwise.h>

#include <algorithm>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// One axis of the padded input, whose positions oh stride + kh dilation are told by phase, the remainder by
// the stride, and index, the quotient. In the phase of a tap, consecutive outputs see consecutive indices.
struct Phases {
  const WindowAxis& axis;

  int64_t count() const { return axis.stride; }
  int64_t of_tap(int64_t tap) const { return tap * axis.dilation % axis.stride; }
  int64_t first_index(int64_t tap) const { return tap * axis.dilation / axis.stride; }
  // The largest first_index.
  int64_t reach() const { return first_index(axis.taps - 1); }
  // Indices in each phase: all inputs have a place, and all taps of all outputs.
  int64_t size() const {
    return std::max(axis.out + reach(), divide_up(axis.in + axis.padding, axis.stride));
  }
  // The first input in a phase, its index, and how many inputs there are.
  int64_t first_input(int64_t phase) const {
    const int64_t behind = (phase - axis.padding) % axis.stride;
    return behind < 0 ? behind + axis.stride : behind;
  }
  int64_t index(int64_t input) const { return (input + axis.padding) / axis.stride; }
  int64_t inputs(int64_t phase) const {
    return std::max<int64_t>(0, divide_up(axis.in - first_input(phase), axis.stride));
  }
};

// The planes of one channel in some images, one after the other, each `plane` elements with rows of `pitch`.
// In this layout what a tap sees is the whole batch at a fixed distance: convolving it is a product of one
// row, the filter, with rows that overlap.
struct Layout {
  const Convolution& s;
  Phases h{s.h}, w{s.w};
  int64_t pitch = w.size();
  int64_t plane = h.size() * pitch;
  int64_t phases = h.count() * w.count();
  int64_t taps = s.depth;
  int64_t images = std::clamp<int64_t>(most_elements / (phases * plane), 1, std::max<int64_t>(s.n, 1));
  int64_t batch = images * plane;
  int64_t rest = h.reach() * pitch + w.reach() + kernels().panel;  // what may be read after the batch

  static constexpr int64_t most_elements = 2048;  // of a batch, which should stay in L1

  int64_t batches() const { return divide_up(s.n, images) * s.c; }
  int64_t phase(int64_t tap) const { return h.of_tap(tap / s.w.taps) * w.count() + w.of_tap(tap % s.w.taps); }
  int64_t distance(int64_t tap) const {
    return h.first_index(tap / s.w.taps) * pitch + w.first_index(tap % s.w.taps);
  }

  // Calls body(phase, first element, step from row to row, rows, columns, offset in the plane) for each
  // phase.
  template <class Body>
  void for_each_phase(Body body) const {
    for (int64_t p = 0; p < phases; ++p) {
      const int64_t ph = p / w.count(), pw = p % w.count(), ih = h.first_input(ph), iw = w.first_input(pw);
      body(p, ih * s.w.in + iw, s.h.stride * s.w.in, h.inputs(ph), w.inputs(pw),
           h.index(ih) * pitch + w.index(iw));
    }
  }

  // A plane of x -> its phases, which are `batch` elements apart.
  void spread(const real* x, real* to) const {
    for_each_phase(
        [&](int64_t p, int64_t first, int64_t step, int64_t rows, int64_t columns, int64_t offset) {
          const real* from = x + first;
          real* at = to + p * batch + offset;
          if (s.w.stride == 2) return kernels().copy_every_second(rows, columns, from, step, at, pitch);
          if (s.w.stride == 1) return kernels().copy_rows(rows, columns, from, step, at, pitch);
          for (int64_t row = 0; row < rows; ++row, from += step, at += pitch)
            for (int64_t i = 0; i < columns; ++i) at[i] = from[i * s.w.stride];
        });
  }
  // The inverse: x = beta x + what is in the phases.
  void gather(const real* from, real beta, real* x) const {
    for_each_phase(
        [&](int64_t p, int64_t first, int64_t step, int64_t rows, int64_t columns, int64_t offset) {
          put(from + p * batch + offset, rows, columns, beta, x + first, step, s.w.stride);
        });
  }
  // A plane of y, from its rows of `pitch` elements.
  void gather_outputs(const real* from, real beta, real* y) const {
    put(from, s.h.out, s.w.out, beta, y, s.w.out, 1);
  }
  void spread_outputs(const real* y, real* to) const {
    kernels().copy_rows(s.h.out, s.w.out, y, s.w.out, to, pitch);
  }

  // Rows of `pitch` elements -> every step-th element of rows that are row_step elements apart.
  void put(const real* from, int64_t rows, int64_t columns, real beta, real* to, int64_t row_step,
           int64_t step) const {
    if (beta == 0 && step == 1) return kernels().copy_rows(rows, columns, from, pitch, to, row_step);
    for (int64_t row = 0; row < rows; ++row, from += pitch, to += row_step) {
      if (beta == 0) {
        for (int64_t i = 0; i < columns; ++i) to[i * step] = from[i];
      } else {
        for (int64_t i = 0; i < columns; ++i) to[i * step] = beta * to[i * step] + from[i];
        //~ for (int64_t i = 0; i < columns; ++i) to[i * step] = from[i];
      }
    }
  }
};

// Zeros: what nothing is written to stands for padding.
Scratch<real> cleared(int64_t size) {
  Scratch<real> memory(size);
  std::fill_n(memory.data(), size, real{0});
  return memory;
}

// Calls body(channel, first image, images) for batches begin, ..., end-1, numbered in the order of memory.
template <class Body>
void for_batches(const Layout& l, int64_t begin, int64_t end, Body body) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / l.s.c * l.images;
    body(i % l.s.c, n, std::min(l.images, l.s.n - n));
  }
}

int64_t batch_grain(const Layout& l, int64_t count) {
  return grain_for(count, row_grain(l.batch * l.taps), tuning::most_tasks);
}

}  // namespace

void depthwise_convolve(const Convolution& s, const real* x, const real* weight, const real* bias, real beta,
                        bool relu, real* y) {
  const Layout l{s};
  const Scratch<int64_t> offsets(l.taps);
  for (int64_t tap = 0; tap < l.taps; ++tap) offsets[tap] = l.phase(tap) * l.batch + l.distance(tap);
  const int64_t batches = l.batches();
  parallel_for(batches, batch_grain(l, batches), [&](int64_t begin, int64_t end) {
    const Scratch<real> inputs = cleared(l.phases * l.batch + l.rest), outputs(l.batch);
    for_batches(l, begin, end, [&](int64_t c, int64_t n, int64_t images) {
      for (int64_t i = 0; i < images; ++i)
        l.spread(x + ((n + i) * s.c + c) * s.inputs, inputs.data() + i * l.plane);
      kernels().multiply_scattered_rows(
          {.rows = 1,
           .columns = images * l.plane,
           .depth = l.taps,
           .left = weight + c * l.taps,
           .left_row = 0,
           .left_step = 1,
           .right = inputs.data()},
          offsets.data(),
          {.c = outputs.data(), .row_step = l.batch, .row_bias = bias ? bias + c : nullptr, .relu = relu});
      for (int64_t i = 0; i < images; ++i)
        l.gather_outputs(outputs.data() + i * l.plane, beta, y + ((n + i) * s.c + c) * s.outputs);
    });
  });
}

// Index i of a phase of dx is the sum, over the taps of that phase, of weights times dy at i less the tap's
// distance. dy lies as far behind the beginning as the largest distance, after zeros.
void depthwise_input_gradient(const Convolution& s, const real* weight, const real* dy, real beta, real* dx) {
  const Layout l{s};
  const int64_t farthest = l.distance(l.taps - 1);
  const Scratch<int64_t> offsets(l.taps), order(l.taps), begins(l.phases + 1);
  int64_t at = 0;
  for (int64_t p = 0; p < l.phases; ++p) {
    begins[p] = at;
    for (int64_t tap = 0; tap < l.taps; ++tap) {
      if (l.phase(tap) != p) continue;
      offsets[at] = farthest - l.distance(tap);
      order[at++] = tap;
    }
  }
  begins[l.phases] = at;
  const int64_t batches = l.batches();
  parallel_for(batches, batch_grain(l, batches), [&](int64_t begin, int64_t end) {
    const Scratch<real> gradients = cleared(l.batch + farthest + l.rest), inputs(l.phases * l.batch),
                        weights(l.taps);
    for_batches(l, begin, end, [&](int64_t c, int64_t n, int64_t images) {
      for (int64_t i = 0; i < l.taps; ++i) weights[i] = weight[c * l.taps + order[i]];
      for (int64_t i = 0; i < images; ++i)
        l.spread_outputs(dy + ((n + i) * s.c + c) * s.outputs, gradients.data() + farthest + i * l.plane);
      if (images < l.images)
        std::fill_n(gradients.data() + farthest + images * l.plane, (l.images - images) * l.plane, real{0});
      //~
      for (int64_t p = 0; p < l.phases; ++p)
        kernels().multiply_scattered_rows({.rows = 1,
                                           .columns = images * l.plane,
                                           .depth = begins[p + 1] - begins[p],
                                           .left = weights.data() + begins[p],
                                           .left_row = 0,
                                           .left_step = 1,
                                           .right = gradients.data()},
                                          offsets.data() + begins[p],
                                          {.c = inputs.data() + p * l.batch, .row_step = l.batch});
      for (int64_t i = 0; i < images; ++i)
        l.gather(inputs.data() + i * l.plane, beta, dx + ((n + i) * s.c + c) * s.inputs);
    });
  });
}

void depthwise_weight_gradient(const Convolution& s, const real* x, const real* dy, real beta, real* dw) {
  const Layout l{s};
  const Scratch<int64_t> offsets(l.taps);
  for (int64_t tap = 0; tap < l.taps; ++tap) offsets[tap] = l.phase(tap) * l.batch + l.distance(tap);
  const int64_t per_channel = l.batches() / s.c;
  parallel_for(
      s.c,
      grain_for(s.c, batch_grain(l, s.c) / std::max<int64_t>(per_channel, 1) + 1, tuning::most_partial_sums),
      [&](int64_t begin, int64_t end) {
        const Scratch<real> inputs = cleared(l.phases * l.batch + l.rest), gradients = cleared(l.batch);
        for (int64_t i = begin * l.taps; i < end * l.taps; ++i) dw[i] = beta == 0 ? 0 : beta * dw[i];
        //~ for (int64_t i = begin * l.taps; i < end * l.taps; ++i) dw[i] = 0;
        for (int64_t row = 0; row < per_channel; ++row)
          for_batches(l, row * s.c + begin, row * s.c + end, [&](int64_t c, int64_t n, int64_t images) {
            for (int64_t i = 0; i < images; ++i) {
              l.spread(x + ((n + i) * s.c + c) * s.inputs, inputs.data() + i * l.plane);
              l.spread_outputs(dy + ((n + i) * s.c + c) * s.outputs, gradients.data() + i * l.plane);
            }
            kernels().add_scattered_product({.rows = l.taps,
                                             .columns = 1,
                                             .depth = images * l.plane,
                                             .left = inputs.data(),
                                             .left_row = 0,
                                             .left_step = 1,
                                             .right = gradients.data()},
                                            offsets.data(), {.c = dw + c * l.taps, .row_step = 1});
            //~ offsets.data(), {.c = dw, .row_step = 1});
          });
      });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
