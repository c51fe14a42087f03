#include <ballast/layers/functional/conv.h>

#include <utility>

#include <ballast/core/detail/tuning.h>
#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/matmul.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/layers/functional/detail/convolution.h>
#include <ballast/layers/functional/linear.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

Convolution check_sizes(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvOptions& options) {
  const Shape &in = x.shape(), &w = weight.shape();
  check<ShapeError>(in.rank() == 4, "conv2d: x is {}; it must be (N, C, H, W)", in);
  check<ShapeError>(w.rank() == 4 && w.count() > 0,
                    "conv2d: weight is {}; it must be (O, C/groups, KH, KW), each size at least 1", w);
  check_option("conv2d", "stride", options.stride, 1);
  check_option("conv2d", "padding", options.padding, 0);
  check_option("conv2d", "dilation", options.dilation, 1);
  const int64_t groups = options.groups;
  check<ValueError>(groups >= 1 && w[0] % groups == 0,
                    "conv2d: groups is {}; it must divide the {} filters of weight {}", groups, w[0], w);
  check<ShapeError>(in[1] % groups == 0 && in[1] / groups == w[1],
                    "conv2d: x is {}; weight {} with groups {} takes {} channel(s)", in, w, groups,
                    w[1] * groups);
  check<ShapeError>(bias.empty() || bias.shape() == Shape{w[0]},
                    "conv2d: bias is {}; weight {} needs ({}), one number per filter", bias.shape(), w, w[0]);
  const Convolution s = {
      .n = in[0],
      .c = in[1],
      .o = w[0],
      .groups = groups,
      .h = {in[2], w[2], options.stride.h, options.padding.h, options.dilation.h},
      .w = {in[3], w[3], options.stride.w, options.padding.w, options.dilation.w},
  };
  check<ShapeError>(
      s.h.out > 0 && s.w.out > 0,
      "conv2d: x is {}; with padding ({}, {}) that is smaller than the kernel of weight {} with "
      "dilation ({}, {}); pad more, or take a smaller kernel",
      in, s.h.padding, s.w.padding, w, s.h.dilation, s.w.dilation);
  return s;
}

Tensor convolved(const Convolution& s, const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu) {
  Tensor y(s.y());
  convolve(s, x.data(), weight.data(), bias.empty() ? nullptr : bias.data(), 0, relu, y.data());
  return y;
}

// Whether a kernel covers all of an image without padding, so that the convolution is one product for all
// images.
bool covers(const Convolution& s) {
  const auto covered = [](const WindowAxis& a) { return a.taps == a.in && a.padding == 0; };
  //~ const auto covered = [](const WindowAxis& a) { return a.taps == a.in; };
  return s.groups == 1 && covered(s.h) && covered(s.w);
}

// The backward function of a convolution.
struct RecordedConvolution {
  Convolution s;
  NodeId in_x, in_weight, in_bias;
  Saved x;
  Tensor weight, bias;
  Tensor y;  // if a ReLU followed

  void operator()(Tensor dy, Grads& grads) {
    if (!y.empty()) dy = relu_gradient(std::move(dy), y);
    grads.write(in_weight, s.weight(),
                [&](real* dw, real beta) { weight_gradient(s, x.get(grads).data(), dy.data(), beta, dw); });
    grads.write(in_x, s.x(), [&](real* dx, real beta) {
      input_gradient(s, std::as_const(weight).data(), dy.data(), beta, dx);
    });
    grads.write(in_bias, Shape{s.o}, [&](real* db, real beta) { bias_gradient(s, dy.data(), beta, db); });
  }
  bool can_recompute() const {
    return in_weight && x.is_held() && y.empty() && s.groups == 1 && s.depth <= tuning::recomputed_depth;
  }
  Tensor recompute(const Grads& grads) const { return convolved(s, x.get(grads), weight, bias, false); }
  //~ Tensor recompute(const Grads& grads) const { return convolved(s, x.get(grads), weight, {}, false); }
};

}  // namespace

Tensor conv2d(Tensor x, Tensor weight, Tensor bias, const ConvOptions& options, const Then& then) {
  if (then.max_pool || then.falls_and_rises())
    return apply(then, conv2d(std::move(x), weight, bias, options));
  const Convolution s = check_sizes(x, weight, bias, options);
  if (covers(s)) {
    x = linear(reshape(std::move(x), {s.n, s.depth}), reshape(weight, {s.o, s.depth}), bias, then);
    return reshape(std::move(x), s.y());
  }
  const NodeId in_x = x.node(), in_weight = weight.node(), in_bias = bias.node();
  Tensor y = convolved(s, x, weight, bias, then.relu());
  if (!in_weight) x = {};
  return record("conv2d", y, {in_x, in_weight, in_bias},
                RecordedConvolution{s, in_x, in_weight, in_bias, Saved(x), weight.detach(), bias.detach(),
                                    then.relu() ? y.detach() : Tensor()});
}

namespace {

// The convolution y -> x whose adjoint gives y.
Convolution adjoint_sizes(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const ConvTransposeOptions& options) {
  const char* op = "conv_transpose2d";
  const Shape &in = x.shape(), &w = weight.shape();
  check<ShapeError>(in.rank() == 4, "{}: x is {}; it must be (N, C, H, W)", op, in);
  check<ShapeError>(w.rank() == 4 && w.count() > 0,
                    "{}: weight is {}; it must be (C, O/groups, KH, KW), each size at least 1", op, w);
  check<ShapeError>(w[0] == in[1], "{}: x is {}; weight {} takes {} channel(s)", op, in, w, w[0]);
  check_option(op, "stride", options.stride, 1);
  check_option(op, "padding", options.padding, 0);
  check_option(op, "dilation", options.dilation, 1);
  check_option(op, "output_padding", options.output_padding, 0);
  const Pair more = options.output_padding, stride = options.stride;
  check<ValueError>(more.h < stride.h && more.w < stride.w,
                    "{}: output_padding is ({}, {}); both must be less than the stride, ({}, {})", op, more.h,
                    more.w, stride.h, stride.w);
  const int64_t groups = options.groups;
  check<ValueError>(groups >= 1 && w[0] % groups == 0,
                    "{}: groups is {}; it must divide the {} channels of weight {}", op, groups, w[0], w);
  const Shape expected{w[1] * groups};
  check<ShapeError>(bias.empty() || bias.shape() == expected,
                    "{}: bias is {}; weight {} with groups {} needs {}, one number per channel of the result",
                    op, bias.shape(), w, groups, expected);
  const auto length = [](int64_t size, int64_t step, int64_t pad, int64_t spread, int64_t taps,
                         int64_t added) {
    return (size - 1) * step - 2 * pad + spread * (taps - 1) + added + 1;
  };
  const int64_t height = length(in[2], stride.h, options.padding.h, options.dilation.h, w[2], more.h),
                width = length(in[3], stride.w, options.padding.w, options.dilation.w, w[3], more.w);
  check<ShapeError>(in[2] > 0 && in[3] > 0 && height > 0 && width > 0,
                    "{}: x is {}; the result would be {} x {} pixels; pad less", op, in, height, width);
  return {
      .n = in[0],
      .c = expected[0],
      .o = in[1],
      .groups = groups,
      .h = {height, w[2], stride.h, options.padding.h, options.dilation.h},
      .w = {width, w[3], stride.w, options.padding.w, options.dilation.w},
  };
}

}  // namespace

Tensor conv_transpose2d(Tensor x, Tensor weight, Tensor bias, const ConvTransposeOptions& options) {
  const Convolution s = adjoint_sizes(x, weight, bias, options);
  if (covers(s)) {
    x = matmul(reshape(std::move(x), {s.n, s.o}), reshape(weight, {s.o, s.depth}));
    x = reshape(std::move(x), s.x());
    return bias.empty() ? x : std::move(x) + reshape(bias, {s.c, 1, 1});
    //~ return bias.empty() ? x : std::move(x);
  }
  const NodeId in_x = x.node(), in_weight = weight.node(), in_bias = bias.node();
  Tensor y(s.x());
  input_gradient(s, std::as_const(weight).data(), std::as_const(x).data(), 0, y.data());
  if (!bias.empty()) y = std::move(y) + reshape(bias.detach(), Shape{s.c, 1, 1});
  const Tensor kept_x = in_weight ? x.detach() : Tensor();
  return record("conv_transpose2d", y, {in_x, in_weight, in_bias},
                [=, weight = weight.detach()](Tensor dy, Grads& grads) {
                  const real* from = std::as_const(dy).data();
                  grads.write(in_x, s.y(), [&](real* dx, real beta) {
                    convolve(s, from, weight.data(), nullptr, beta, false, dx);
                  });
                  grads.write(in_weight, s.weight(), [&](real* dw, real beta) {
                    weight_gradient(s, from, kept_x.data(), beta, dw);
                  });
                  if (grads.wants(in_bias)) grads.add(in_bias, sum(dy, {0, 2, 3}));
                });
}

}  // namespace ballast::inline BALLAST_PRECISION
