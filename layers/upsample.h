#pragma once

#include <ballast/layers/functional/upsample.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

/// Images enlarged by whole factors; see `upsample`.
struct Upsample : Module {
  Pair factor;
  UpsampleMode mode;
  explicit Upsample(Pair times, UpsampleMode how = UpsampleMode::nearest) : factor(times), mode(how) {}
  Tensor forward(Tensor x) override { return upsample(std::move(x), factor, mode); }
  LayerInfo info() override {
    return {.type = &typeid(Upsample),
            .multiply_adds = 0,
            .affine = true,
            .positions = LayerInfo::Positions::any};
  }
  std::string describe() const override { return fmt::format("Upsample {} x {}", factor.h, factor.w); }
};

struct ConvTranspose2dOptions {
  Pair stride = 1, padding = 0, output_padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

/// Transposed convolution, (N, in, H, W) -> (N, out, H', W'); see `conv_transpose2d`. Weight (in, out/groups,
/// KH, KW) and bias start from U(+-1/sqrt(out/groups KH KW)), PyTorch's default.
struct ConvTranspose2d : Module {
  Parameter weight, bias;
  ConvTransposeOptions options;

  ConvTranspose2d(int64_t in, int64_t out, Pair kernel, const ConvTranspose2dOptions& o = {})
      : options{.stride = o.stride,
                .padding = o.padding,
                .output_padding = o.output_padding,
                .dilation = o.dilation,
                .groups = o.groups} {
    check<ValueError>(o.groups >= 1 && in % o.groups == 0 && out % o.groups == 0,
                      "ConvTranspose2d {} -> {}: both must be multiples of groups, {}", in, out, o.groups);
    weight = Parameter(Tensor(Shape{in, out / o.groups, kernel.h, kernel.w}));
    if (o.bias) bias = Parameter(Tensor(Shape{out}), {.decay = false});
    fan_in_uniform(weight, bias);
  }

  Tensor forward(Tensor x) override { return conv_transpose2d(std::move(x), weight, bias, options); }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    const Shape& w = weight.shape();
    const int64_t taps_seen =
        (w[2] * w[3] + options.stride.h * options.stride.w - 1) / (options.stride.h * options.stride.w);
    return {.type = &typeid(ConvTranspose2d),
            .multiply_adds = w[0] / options.groups * taps_seen,
            .affine = true,
            .positions = LayerInfo::Positions::any};
  }
  std::string describe() const override {
    const Shape& w = weight.shape();
    return fmt::format("ConvTranspose2d {} -> {}, {} x {}", w[0], w[1] * options.groups, w[2], w[3]);
  }
};

}  // namespace ballast::inline BALLAST_PRECISION
