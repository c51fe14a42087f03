#pragma once

#include <algorithm>

#include <ballast/core/module.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/conv.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

struct Conv1dOptions {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
};

/// One-dimensional convolution, (N, in, L) -> (N, out, L'), with the formula of `conv2d` for a height of 1.
/// Weight (out, in/groups, K); starts as Conv2d does.
struct Conv1d : Module {
  Parameter weight, bias;
  ConvOptions options;

  Conv1d(int64_t in, int64_t out, int64_t kernel, const Conv1dOptions& o = {})
      : options{.stride = {1, o.stride},
                .padding = {0, o.padding},
                .dilation = {1, o.dilation},
                .groups = o.groups} {
    check<ValueError>(o.groups >= 1 && in >= 1 && out >= 1 && in % o.groups == 0 && out % o.groups == 0,
                      "Conv1d {} -> {}: both must be positive multiples of groups, {}", in, out, o.groups);
    check<ValueError>(std::min({kernel, o.stride, o.dilation}) >= 1 && o.padding >= 0 &&
                          std::max({kernel, o.stride, o.padding, o.dilation}) <= int64_t{1} << 30,
                      "Conv1d: kernel {}, stride {}, padding {}, dilation {}; padding must be from 0, the "
                      "others from 1, to 2^30",
                      kernel, o.stride, o.padding, o.dilation);
    weight = Parameter(Tensor(Shape{out, in / o.groups, kernel}));
    if (o.bias) bias = Parameter(Tensor(Shape{out}), {.decay = false});
    fan_in_uniform(weight, bias);
  }

  Tensor forward(Tensor x) override {
    const int64_t channels = weight.shape()[1] * options.groups, kernel = weight.shape()[2];
    check<ShapeError>(x.rank() == 3 && x.size(1) == channels, "x is {}; it must be (N, C, L) with C = {}",
                      x.shape(), channels);
    check<ShapeError>(x.size(2) + 2 * options.padding.w > options.dilation.w * (kernel - 1),
                      "x is {}; with padding {} that is shorter than the kernel of {} with dilation {}; pad "
                      "more, or take a smaller kernel",
                      x.shape(), options.padding.w, kernel, options.dilation.w);
    Tensor image = reshape(x, x.shape().inserted(2, 1)),
           taps = reshape(weight, weight.shape().inserted(2, 1));
    Tensor y = conv2d(std::move(image), std::move(taps), bias, options);
    return reshape(y, y.shape().without(2));
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    return {.type = &typeid(Conv1d),
            .multiply_adds = weight.shape().count(1, 3),
            .affine = true,
            .weight = &weight,
            .bias = &bias,
            .positions = LayerInfo::Positions::any};
  }
  std::string describe() const override {
    return fmt::format("Conv1d {} -> {}, {}", weight.shape()[1] * options.groups, weight.shape()[0],
                       weight.shape()[2]);
  }
};

}  // namespace ballast::inline BALLAST_PRECISION
