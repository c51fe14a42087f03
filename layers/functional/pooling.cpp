#include <ballast/layers/functional/pooling.h>

#include <algorithm>
#include <utility>

#include <ballast/core/detail/denormals.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>
#include <ballast/layers/functional/detail/pool_activated.h>
#include <ballast/layers/functional/detail/window.h>
#include <ballast/layers/functional/upsample.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// `planes` = N C planes, each pooled separately.
struct Sizes {
  Shape x;
  WindowAxis h, w;
  bool counts_padding;
  int64_t planes = x[0] * x[1];
  int64_t inputs = h.in * w.in;
  int64_t outputs = h.out * w.out;

  Shape y() const { return {x[0], x[1], h.out, w.out}; }
  int64_t taps() const { return h.taps * w.taps; }
};

// Calls body(plane) for every plane, in parallel.
template <class Body>
void for_each_plane(int64_t planes, int64_t inputs, Body body) {
  const int64_t least = tuning::pooled_elements / std::max<int64_t>(inputs, 1) + 1;
  parallel_for(planes, grain_for(planes, least, tuning::pooling_chunks), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) body(plane);
  });
}

// With `rounds_up`, a last window may reach beyond the padding, if it begins before it.
WindowAxis pooled_axis(int64_t in, int64_t window, int64_t stride, int64_t padding, bool rounds_up) {
  WindowAxis axis(in, window, stride, padding, 1);
  const bool more = rounds_up && axis.out > 0 && (in + 2 * padding - window) % stride > 0;
  if (more && axis.out * stride < in + padding) ++axis.out;
  //~ if (more) ++axis.out;
  return axis;
}

void check_rank(const char* op, const Tensor& x) {
  check<ShapeError>(x.rank() == 4, "{}: x is {}; it must be (N, C, H, W)", op, x.shape());
}

Sizes check_sizes(const char* op, const Tensor& x, Pair window, const PoolOptions& options) {
  check_rank(op, x);
  const Pair stride = options.stride.value_or(window), padding = options.padding;
  check_option(op, "window", window, 1);
  check_option(op, "stride", stride, 1);
  check_option(op, "padding", padding, 0);
  check<ValueError>(padding.h <= window.h / 2 && padding.w <= window.w / 2,
                    "{}: padding is ({}, {}); it must be at most half of the window, ({}, {})", op, padding.h,
                    padding.w, window.h / 2, window.w / 2);
  const Sizes s = {
      .x = x.shape(),
      .h = pooled_axis(x.size(2), window.h, stride.h, padding.h, options.ceil_mode),
      .w = pooled_axis(x.size(3), window.w, stride.w, padding.w, options.ceil_mode),
      .counts_padding = options.count_include_pad,
  };
  check<ValueError>(s.taps() < int64_t{1} << 31,
                    "{}: window is ({}, {}); it must have less than 2^31 elements", op, window.h, window.w);
  check<ShapeError>(
      s.inputs > 0 && s.outputs > 0,
      "{}: x is {}; with padding ({}, {}) it doesn't fill one window of {} x {}; take a smaller "
      "window, or pool less before",
      op, x.shape(), padding.h, padding.w, window.h, window.w);
  return s;
}

// Maximum
// ---------------------------------------------------------------------------------------------------------

// Whether v replaces the largest element so far: the first of equals is kept, and NaN always taken.
bool wins(real v, real best) { return (v > best) | (v != v); }

// Pools one plane. `argmax` receives the tap, kh KW + kw, of each window's maximum.
template <class Tap>
void max_pool_plane(const Sizes& s, const real* x, real* y, Tap* argmax) {
  for (int64_t oh = 0; oh < s.h.out; ++oh) {
    const auto [top, bottom] = s.h.inner_taps(oh);
    for (int64_t ow = 0; ow < s.w.out; ++ow) {
      const auto [left, right] = s.w.inner_taps(ow);
      const real* corner = x + s.h.input(oh, 0) * s.w.in + s.w.input(ow, 0);
      real best = corner[top * s.w.in + left];
      int64_t tap = top * s.w.taps + left;
      for (int64_t kh = top; kh < bottom; ++kh) {
        for (int64_t kw = left; kw < right; ++kw) {
          const real v = corner[kh * s.w.in + kw];
          if (wins(v, best)) best = v, tap = kh * s.w.taps + kw;
        }
      }
      *y++ = best;
      *argmax++ = static_cast<Tap>(tap);
    }
  }
}

template <class Tap>
void max_pool_gradient_plane(const Sizes& s, const real* dy, const Tap* argmax, real* dx) {
  const int tap_columns = static_cast<int>(s.w.taps);
  for (int64_t oh = 0; oh < s.h.out; ++oh) {
    for (int64_t ow = 0; ow < s.w.out; ++ow) {
      const int tap = static_cast<int>(*argmax++);
      const int kh = tap / tap_columns, kw = tap % tap_columns;
      dx[s.h.input(oh, kh) * s.w.in + s.w.input(ow, kw)] += *dy++;
      //~ dx[s.h.input(oh, kh) * s.w.in + s.w.input(ow, kw)] = *dy++;
    }
  }
}

// The usual case: windows of 2 x 2 that don't overlap.
bool is_2x2(const Sizes& s) {
  const auto halves = [](const WindowAxis& a) {
    return a.taps == 2 && a.stride == 2 && a.padding == 0 && 2 * a.out <= a.in;
  };
  return halves(s.h) && halves(s.w);
}

PoolPlane pool_plane(const Sizes& s) { return {s.h.out, s.w.out, s.w.in}; }

// dx = beta dx + the gradient
void max_pool_gradient_plane_2x2(const Sizes& s, const real* dy, const uint8_t* argmax, real beta, real* dx) {
  if (beta == 0 && s.inputs == 4 * s.outputs)
    return kernels().max_pool_gradient(pool_plane(s), dy, argmax, dx);
  if (beta == 0) std::fill_n(dx, s.inputs, real{0});
  max_pool_gradient_plane(s, dy, argmax, dx);
}

// `Tap` holds the number of any tap of the window.
template <class Tap>
Tensor max_pool(const Tensor& x, const Sizes& s) {
  const NodeId in = x.node();
  Tensor y(s.y());
  StorageRef argmax = Storage::allocate(static_cast<size_t>(y.count()) * sizeof(Tap));
  for_each_plane(s.planes, s.inputs, [&, from = x.data(), to = y.data()](int64_t plane) {
    const KeepDenormals denormals;  // which may be the largest elements
    const real* x_plane = from + plane * s.inputs;
    const int64_t out = plane * s.outputs;
    Tap* of_plane = static_cast<Tap*>(argmax->data) + out;
    if constexpr (sizeof(Tap) == 1) {
      if (is_2x2(s)) return kernels().max_pool(pool_plane(s), x_plane, false, to + out, of_plane);
    }
    max_pool_plane(s, x_plane, to + out, of_plane);
  });
  return record("max_pool2d", std::move(y), {in}, [=, argmax = std::move(argmax)](Tensor dy, Grads& grads) {
    grads.write(in, s.x, [&](real* dx, real beta) {
      for_each_plane(s.planes, s.inputs, [&, from = std::as_const(dy).data()](int64_t plane) {
        real* dx_plane = dx + plane * s.inputs;
        const int64_t out = plane * s.outputs;
        const Tap* of_plane = static_cast<const Tap*>(argmax->data) + out;
        if constexpr (sizeof(Tap) == 1) {
          if (is_2x2(s)) return max_pool_gradient_plane_2x2(s, from + out, of_plane, beta, dx_plane);
        }
        if (beta == 0) std::fill_n(dx_plane, s.inputs, real{0});
        max_pool_gradient_plane(s, from + out, of_plane, dx_plane);
      });
    });
  });
}

// Maximum of an activation that falls and rises, over windows of 2 x 2
// ---------------------------------------------------------------------------------------------------------

}  // namespace

Tensor detail::max_pool_activated(const Tensor& x, Then::Activation activation) {
  const Sizes s = check_sizes("max_pool2d", x, 2, {});
  const NodeId in = x.node();
  const int64_t memory = PoolActivated::memory(s.outputs);
  Tensor y(s.y());
  const Scratch<uint8_t> argmax(in ? y.count() : 0);
  const Scratch<real> kept(in ? y.count() : 0);
  reserve_scratch<real>(memory, s.planes);
  for_each_plane(s.planes, s.inputs, [&, from = x.data(), to = y.data()](int64_t plane) {
    const Scratch<real> scratch(memory);
    const int64_t out = plane * s.outputs;
    PoolActivated(activation, s.outputs, scratch.data())
        .forward(pool_plane(s), from + plane * s.inputs, to + out, in ? argmax.data() + out : nullptr,
                 in ? kept.data() + out : nullptr);
  });
  return record("max_pool2d", std::move(y), {in}, [=](const Tensor& dy, Grads& grads) {
    Tensor dx = s.inputs == 4 * s.outputs ? Tensor(s.x) : zeros(s.x);
    reserve_scratch<real>(memory, s.planes);
    for_each_plane(s.planes, s.inputs, [&, from = dy.data(), to = dx.data()](int64_t plane) {
      const Scratch<real> scratch(memory);
      const int64_t out = plane * s.outputs;
      PoolActivated(activation, s.outputs, scratch.data())
          .backward(pool_plane(s), from + out, argmax.data() + out, kept.data() + out, to + plane * s.inputs);
    });
    grads.add(in, std::move(dx));
  });
}

// Average
// ---------------------------------------------------------------------------------------------------------

namespace {

// How many elements of a window along one axis a mean counts.
int64_t counted(const Sizes& s, const WindowAxis& axis, int64_t output) {
  const auto [begin, end] = axis.inner_taps(output);
  if (!s.counts_padding) return end - begin;
  return std::min(axis.taps, axis.in + axis.padding - axis.input(output, 0));
  //~ return axis.taps;
}

void avg_pool_plane(const Sizes& s, const real* x, real* y) {
  for (int64_t oh = 0; oh < s.h.out; ++oh) {
    const auto [top, bottom] = s.h.inner_taps(oh);
    const int64_t rows = counted(s, s.h, oh);
    for (int64_t ow = 0; ow < s.w.out; ++ow) {
      const auto [left, right] = s.w.inner_taps(ow);
      const real* corner = x + s.h.input(oh, 0) * s.w.in + s.w.input(ow, 0);
      double sum = 0;
      for (int64_t kh = top; kh < bottom; ++kh) {
        for (int64_t kw = left; kw < right; ++kw) sum += static_cast<double>(corner[kh * s.w.in + kw]);
      }
      *y++ = static_cast<real>(sum / static_cast<double>(rows * counted(s, s.w, ow)));
    }
  }
}

void avg_pool_gradient_plane(const Sizes& s, const real* dy, real* dx) {
  for (int64_t oh = 0; oh < s.h.out; ++oh) {
    const auto [top, bottom] = s.h.inner_taps(oh);
    const int64_t rows = counted(s, s.h, oh);
    for (int64_t ow = 0; ow < s.w.out; ++ow) {
      const auto [left, right] = s.w.inner_taps(ow);
      real* corner = dx + s.h.input(oh, 0) * s.w.in + s.w.input(ow, 0);
      const real share = *dy++ / static_cast<real>(rows * counted(s, s.w, ow));
      //~ const real share = *dy++;
      for (int64_t kh = top; kh < bottom; ++kh) {
        for (int64_t kw = left; kw < right; ++kw) corner[kh * s.w.in + kw] += share;
      }
    }
  }
}

}  // namespace

Tensor max_pool2d(Tensor x, Pair window, const PoolOptions& options) {
  const Sizes s = check_sizes("max_pool2d", x, window, options);
  return s.taps() <= 256 ? max_pool<uint8_t>(x, s) : max_pool<int32_t>(x, s);
}

Tensor avg_pool2d(Tensor x, Pair window, const PoolOptions& options) {
  const Sizes s = check_sizes("avg_pool2d", x, window, options);
  const NodeId in = x.node();
  Tensor y(s.y());
  for_each_plane(s.planes, s.inputs, [&, from = std::as_const(x).data(), to = y.data()](int64_t plane) {
    avg_pool_plane(s, from + plane * s.inputs, to + plane * s.outputs);
  });
  return record("avg_pool2d", std::move(y), {in}, [=](Tensor dy, Grads& grads) {
    grads.write(in, s.x, [&](real* dx, real beta) {
      for_each_plane(s.planes, s.inputs, [&, from = std::as_const(dy).data()](int64_t plane) {
        real* dx_plane = dx + plane * s.inputs;
        if (beta == 0) std::fill_n(dx_plane, s.inputs, real{0});
        avg_pool_gradient_plane(s, from + plane * s.outputs, dx_plane);
      });
    });
  });
}

namespace {

// (in, out): column i holds the weights of window i's mean.
Tensor averaging(int64_t in, int64_t out) {
  Tensor weights = zeros({in, out});
  for (int64_t i = 0; i < out; ++i) {
    const int64_t begin = i * in / out, end = divide_up((i + 1) * in, out);
    for (int64_t from = begin; from < end; ++from)
      weights(from, i) = real(1) / static_cast<real>(end - begin);
  }
  return weights;
}

}  // namespace

Tensor adaptive_avg_pool2d(Tensor x, Pair size) {
  check_rank("adaptive_avg_pool2d", x);
  check_option("adaptive_avg_pool2d", "size", size, 1);
  const int64_t height = x.size(2), width = x.size(3);
  check<ShapeError>(height > 0 && width > 0, "adaptive_avg_pool2d: x is {}; there is nothing to average over",
                    x.shape());
  if (height % size.h == 0 && width % size.w == 0)
    return avg_pool2d(std::move(x), {height / size.h, width / size.w});
  return along_axes(std::move(x), averaging(height, size.h), averaging(width, size.w));
}

Tensor global_avg_pool(Tensor x) {
  check_rank("global_avg_pool", x);
  const Shape shape = x.shape();
  const int64_t planes = shape[0] * shape[1], inputs = shape[2] * shape[3];
  check<ShapeError>(inputs > 0, "global_avg_pool: x is {}; there is no position to average over", shape);
  const NodeId in = x.node();
  Tensor y(Shape{shape[0], shape[1], 1, 1});
  for_each_plane(planes, inputs, [=, from = std::as_const(x).data(), to = y.data()](int64_t plane) {
    to[plane] = static_cast<real>(kernels().sum(from + plane * inputs, inputs) / static_cast<double>(inputs));
  });
  return record("global_avg_pool", std::move(y), {in}, [=](Tensor dy, Grads& grads) {
    grads.write(in, shape, [&](real* dx, real beta) {
      for_each_plane(planes, inputs, [=, from = std::as_const(dy).data()](int64_t plane) {
        const real share = from[plane] / static_cast<real>(inputs);
        //~ const real share = from[plane];
        real* dx_plane = dx + plane * inputs;
        if (beta == 0) std::fill_n(dx_plane, inputs, real{0});
        for (int64_t i = 0; i < inputs; ++i) dx_plane[i] += share;
      });
    });
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
