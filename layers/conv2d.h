#pragma once

#include <ballast/layers/functional/conv.h>
#include <ballast/layers/fusible.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

struct Conv2dOptions {
  Pair stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

/// Two-dimensional convolution, (N, in, H, W) -> (N, out, H', W'); see `conv2d`. Weight (out, in/groups, KH,
/// KW) and bias start from U(+-1/sqrt(fan_in)), PyTorch's default.
struct Conv2d : Fusible {
  Parameter weight, bias;
  ConvOptions options;

  Conv2d(int64_t in, int64_t out, Pair kernel, const Conv2dOptions& o = {})
      : options{.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups} {
    check<ValueError>(o.groups >= 1 && in % o.groups == 0 && out % o.groups == 0,
                      "Conv2d {} -> {}: both must be multiples of groups, {}", in, out, o.groups);
    weight = Parameter(Tensor(Shape{out, in / o.groups, kernel.h, kernel.w}));
    if (o.bias) bias = Parameter(Tensor(Shape{out}), {.decay = false});
    fan_in_uniform(weight, bias);
  }

  Tensor forward_then(Tensor x, const Then& then) override {
    return conv2d(std::move(x), weight, bias, options, then);
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    return {.type = &typeid(Conv2d),
            .multiply_adds = weight.shape().count(1, 4),
            .affine = true,
            .weight = &weight,
            .bias = &bias,
            .positions = LayerInfo::Positions::any};
  }
  std::string describe() const override {
    const Shape& w = weight.shape();
    return fmt::format("Conv2d {} -> {}, {} x {}", w[1] * options.groups, w[0], w[2], w[3]);
  }

 protected:
  bool can_fuse(const Then& then) const override { return !then.max_pool; }
  const std::type_info& fused_type() const override { return typeid(Conv2d); }
};

}  // namespace ballast::inline BALLAST_PRECISION
