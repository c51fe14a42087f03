#include <ballast/core/ops/conv.h>

#include <algorithm>

#include <ballast/core/gemm.h>
#include <ballast/core/ops/map.h>
#include <ballast/core/ops/row_sum.h>
#include <ballast/core/ops/window.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// The sizes of one convolution. Each group is a matrix product: `filters` x `depth` weights times `depth` x
// positions unfolded inputs, one row for each weight of a filter.
struct Sizes {
  int64_t n, c, o, groups;
  WindowAxis h, w;
  int64_t channels = c / groups;
  int64_t filters = o / groups;
  int64_t depth = channels * h.taps * w.taps;
  int64_t inputs = h.in * w.in;
  int64_t outputs = h.out * w.out;

  Shape x() const { return {n, c, h.in, w.in}; }
  Shape y() const { return {n, o, h.out, w.out}; }
  Shape weight() const { return {o, channels, h.taps, w.taps}; }
  // The unfolded input is the input itself.
  bool pointwise() const {
    const auto plain = [](const WindowAxis& a) { return a.taps == 1 && a.stride == 1 && a.padding == 0; };
    return plain(h) && plain(w);
  }
  // How many output rows to unfold at a time: some 256 KB of float, which stay in a core's cache.
  int64_t block_rows() const {
    if (pointwise()) return h.out;
    return std::clamp<int64_t>((int64_t{1} << 16) / (depth * w.out), 1, h.out);
  }
};

// Unfolding
// ---------------------------------------------------------------------------------------------------------

// Some output rows of one image in one group.
struct Block {
  const Sizes& s;
  int64_t n, group, row, rows;
  real* columns;  // scratch: the unfolded input, depth x size()
  int64_t chunk;  // of images that are worked on in order
  bool first;     // of this group in this chunk

  int64_t size() const { return rows * s.w.out; }
  // Where the group's part begins in tensors shaped as x, y and weight.
  int64_t in_x() const { return (n * s.c + group * s.channels) * s.inputs; }
  int64_t in_y() const { return (n * s.o + group * s.filters) * s.outputs + row * s.w.out; }
  int64_t in_weight() const { return group * s.filters * s.depth; }
};

// The part of an output row at which one tap sees inputs: outputs begin, ..., end-1 see inputs first, first +
// stride, ... of the plane stack; the rest of the row sees padding.
struct TapRow {
  int64_t column;  // of the row's first output in the unfolded input
  int64_t begin, end;
  int64_t first;
};

template <class Body>
void for_each_tap_row(const Block& b, Body body) {
  const WindowAxis &h = b.s.h, &w = b.s.w;
  int64_t column = 0;
  for (int64_t c = 0; c < b.s.channels; ++c) {
    for (int64_t kh = 0; kh < h.taps; ++kh) {
      for (int64_t kw = 0; kw < w.taps; ++kw) {
        const auto [begin, end] = w.outputs(kw);
        for (int64_t row = b.row; row < b.row + b.rows; ++row, column += w.out) {
          const int64_t ih = h.input(row, kh);
          const bool inside = ih >= 0 && ih < h.in;
          body(TapRow{.column = column,
                      .begin = inside ? begin : 0,
                      .end = inside ? end : 0,
                      .first = (c * h.in + ih) * w.in + w.input(begin, kw)});
        }
      }
    }
  }
}

// Unfolds the group's planes: columns[(c, kh, kw), (oh, ow)] = x[c, input(oh, kh), input(ow, kw)].
void im2col(const Block& b, const real* x) {
  const int64_t width = b.s.w.out, stride = b.s.w.stride;
  for_each_tap_row(b, [=, columns = b.columns](const TapRow& t) {
    real* to = columns + t.column;
    std::fill(to, to + t.begin, real{0});
    if (stride == 1) {
      std::copy_n(x + t.first, t.end - t.begin, to + t.begin);
    } else {
      for (int64_t i = t.begin; i < t.end; ++i) to[i] = x[t.first + (i - t.begin) * stride];
    }
    std::fill(to + t.end, to + width, real{0});
  });
}

// Its adjoint: adds every element of the columns to the input it was unfolded from.
void add_col2im(const Block& b, real* x) {
  const int64_t stride = b.s.w.stride;
  for_each_tap_row(b, [=, columns = b.columns](const TapRow& t) {
    const real* from = columns + t.column;
    for (int64_t i = t.begin; i < t.end; ++i) x[t.first + (i - t.begin) * stride] += from[i];
  });
}

// The unfolded input of a block as a matrix.
Matrix unfolded(const Block& b, const real* x) {
  if (b.s.pointwise()) return {x + b.in_x(), b.s.inputs};
  im2col(b, x + b.in_x());
  return {b.columns, b.size()};
}

// Calls body(block) for the blocks of all images, in parallel over chunks of `grain` images.
template <class Body>
void for_each_block(const Sizes& s, int64_t grain, Body body) {
  const int64_t step = s.block_rows(), chunks = (s.n + grain - 1) / grain;
  const int64_t scratch_size = s.pointwise() ? 0 : s.depth * step * s.w.out;
  Tensor scratch(Shape{chunks, scratch_size});
  parallel_for(s.n, grain, [&, columns = scratch.data()](int64_t begin, int64_t end) {
    const int64_t chunk = begin / grain;
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t group = 0; group < s.groups; ++group) {
        for (int64_t row = 0; row < s.h.out; row += step) {
          body(Block{.s = s,
                     .n = n,
                     .group = group,
                     .row = row,
                     .rows = std::min(step, s.h.out - row),
                     .columns = columns + chunk * scratch_size,
                     .chunk = chunk,
                     .first = n == begin && row == 0});
        }
      }
    }
  });
}

// Forward and the three gradients
// ---------------------------------------------------------------------------------------------------------

// At most 16 chunks of images, each with its scratch.
int64_t image_grain(const Sizes& s) { return grain_for(s.n, 1, 16); }

void forward(const Sizes& s, const real* x, const real* weight, const real* bias, real* y) {
  for_each_block(s, image_grain(s), [=, &s](const Block& b) {
    real* to = y + b.in_y();
    for (int64_t o = 0; bias && o < s.filters; ++o)
      std::fill_n(to + o * s.outputs, b.size(), bias[b.group * s.filters + o]);
    gemm(s.filters, b.size(), s.depth, {weight + b.in_weight(), s.depth}, unfolded(b, x), bias ? 1 : 0, to,
         s.outputs);
  });
}

// dx = beta dx + fold(W^T dy)
void input_gradient(const Sizes& s, const real* weight, const real* dy, real beta, real* dx) {
  for_each_block(s, image_grain(s), [=, &s](const Block& b) {
    const Matrix weight_t = {weight + b.in_weight(), s.depth, true}, dy_block = {dy + b.in_y(), s.outputs};
    real* to = dx + b.in_x();
    if (s.pointwise()) {
      gemm(s.depth, b.size(), s.filters, weight_t, dy_block, beta, to, s.inputs);
    } else {
      gemm(s.depth, b.size(), s.filters, weight_t, dy_block, 0, b.columns, b.size());
      if (beta == 0 && b.row == 0) std::fill_n(to, s.channels * s.inputs, real{0});
      add_col2im(b, to);
    }
  });
}

// dW = beta dW + sum over images of dy unfold(x)^T: one sum per chunk of images, then these in order.
void weight_gradient(const Sizes& s, const real* x, const real* dy, real beta, real* dw) {
  const int64_t count = s.weight().count(), grain = grain_for(s.n, 1, 8);
  const int64_t chunks = (s.n + grain - 1) / grain;
  Tensor partial(Shape{chunks, count});
  for_each_block(s, grain, [=, &s, sums = partial.data()](const Block& b) {
    Matrix columns_t = unfolded(b, x);
    columns_t.transposed = true;
    gemm(s.filters, s.depth, b.size(), {dy + b.in_y(), s.outputs}, columns_t, b.first ? 0 : 1,
         sums + b.chunk * count + b.in_weight(), s.depth);
  });
  parallel_for(count, elementwise_grain, [=, sums = partial.data()](int64_t begin, int64_t end) {
    if (beta == 0) std::fill(dw + begin, dw + end, real{0});
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      for (int64_t i = begin; i < end; ++i) dw[i] += sums[chunk * count + i];
    }
  });
}

// db = beta db + dy summed over images and positions
void bias_gradient(const Sizes& s, const real* dy, real beta, real* db) {
  parallel_for(s.o, grain_for(s.o, 1, 16), [=, &s](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      double sum = 0;
      for (int64_t n = 0; n < s.n; ++n) sum += row_sum(dy + (n * s.o + o) * s.outputs, s.outputs);
      db[o] = static_cast<real>(sum) + (beta == 0 ? 0 : beta * db[o]);
    }
  });
}

Sizes check_sizes(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const Shape &in = x.shape(), &w = weight.shape();
  check<ShapeError>(in.rank() == 4, "x is {}; a two-dimensional convolution takes (N, C, H, W)", in);
  check<ShapeError>(w.rank() == 4 && w.count() > 0,
                    "weight is {}; it must be (O, C/groups, KH, KW), each size at least 1", w);
  check_option("stride", options.stride, 1);
  check_option("padding", options.padding, 0);
  check_option("dilation", options.dilation, 1);
  const int64_t groups = options.groups;
  check<ValueError>(groups >= 1 && w[0] % groups == 0,
                    "groups is {}; it must divide the {} filters of weight {}", groups, w[0], w);
  check<ShapeError>(in[1] % groups == 0 && in[1] / groups == w[1],
                    "x is {}; weight {} with groups {} takes {} channel(s)", in, w, groups, w[1] * groups);
  check<ShapeError>(bias.empty() || bias.shape() == Shape{w[0]},
                    "bias is {}; weight {} needs ({}), one number per filter", bias.shape(), w, w[0]);
  const Sizes s = {
      .n = in[0],
      .c = in[1],
      .o = w[0],
      .groups = groups,
      .h = {in[2], w[2], options.stride.h, options.padding.h, options.dilation.h},
      .w = {in[3], w[3], options.stride.w, options.padding.w, options.dilation.w},
  };
  check<ShapeError>(s.h.out > 0 && s.w.out > 0,
                    "x is {}; with padding ({}, {}) that is smaller than the kernel of weight {} with "
                    "dilation ({}, {}); pad more, or take a smaller kernel",
                    in, s.h.padding, s.w.padding, w, s.h.dilation, s.w.dilation);
  return s;
}

}  // namespace

Tensor conv2d(Tensor x, Tensor weight, Tensor bias, const ConvOptions& options) {
  const Sizes s = check_sizes(x, weight, bias, options);
  const NodeId in_x = x.node(), in_weight = weight.node(), in_bias = bias.node();
  Tensor y(s.y());
  forward(s, x.data(), weight.data(), bias.empty() ? nullptr : bias.data(), y.data());
  if (!in_weight) x = {};
  if (!in_x) weight = {};
  return record(
      "conv2d", std::move(y), {in_x, in_weight, in_bias},
      [=, x = x.detach(), weight = weight.detach()](Tensor dy, Grads& grads) {
        grads.write(in_x, s.x(),
                    [&](real* dx, real beta) { input_gradient(s, weight.data(), dy.data(), beta, dx); });
        grads.write(in_weight, s.weight(),
                    [&](real* dw, real beta) { weight_gradient(s, x.data(), dy.data(), beta, dw); });
        grads.write(in_bias, Shape{s.o}, [&](real* db, real beta) { bias_gradient(s, dy.data(), beta, db); });
      });
}

}  // namespace ballast::inline BALLAST_PRECISION
