#pragma once

#include <ballast/core/module.h>
#include <ballast/core/ops/conv.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

struct Conv1dOptions {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
};

/// One-dimensional convolution, (N, in, L) -> (N, out, L'): `conv2d` over images of height 1. Weight (out,
/// in/groups, K); starts as Conv2d does.
struct Conv1d : Module {
  Parameter weight, bias;
  ConvOptions options;

  Conv1d(int64_t in, int64_t out, int64_t kernel, const Conv1dOptions& o = {})
      : options{.stride = {1, o.stride},
                .padding = {0, o.padding},
                .dilation = {1, o.dilation},
                .groups = o.groups} {
    check<ValueError>(o.groups >= 1 && in % o.groups == 0 && out % o.groups == 0,
                      "Conv1d {} -> {}: both must be multiples of groups, {}", in, out, o.groups);
    weight = Parameter(Tensor(Shape{out, in / o.groups, kernel}));
    if (o.bias) bias = Parameter(Tensor(Shape{out}), {.decay = false});
    fan_in_uniform(weight, bias);
  }

  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 3, "x is {}; it must be (N, C, L)", x.shape());
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
