#pragma once

#include <cmath>

#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/norm.h>
#include <ballast/layers/functional/weight_norm.h>
#include <ballast/layers/with_weight.h>

namespace ballast::inline BALLAST_PRECISION {

/// Weight normalization of a Linear, a Conv2d, or any layer with an overload of `with_weight`: its weight
/// becomes w = g v / |v|, which learns the length and the direction of each output's weights separately
/// (Salimans & Kingma 2016). Initially equal to the wrapped layer. weight_g (out, 1, ...), weight_v and bias
/// are named as by torch.nn.utils.weight_norm.
template <class Layer>
struct WeightNorm : Module {
  Layer layer;  // its weight is weight_v
  Parameter weight_g;

  explicit WeightNorm(Layer wrapped)
      : layer(std::move(wrapped)), weight_g(row_lengths(layer.weight), {.decay = false}) {}

  /// Data-dependent initialization (section 3 of the paper): sets g and the bias so that each output has mean
  /// 0 and variance 1 over the batch x; without a bias, variance 1 alone.
  void initialize_from(const Tensor& x) {
    const StatisticsScope scope;
    const Shape outputs{layer.weight.shape()[0]};
    weight_g.assign(ones(weight_g.shape()));
    if (!layer.bias.empty()) layer.bias.assign(zeros(outputs));
    Tensor y = forward(x);
    if (std::is_same_v<Layer, Linear>) y = reshape(std::move(y), {-1, outputs[0]});
    Buffer mean(zeros(outputs)), var(ones(outputs));
    batch_norm(std::move(y), {}, {}, {.mean = &mean, .var = &var, .momentum = 1});
    for (int64_t o = 0; o < outputs[0]; ++o) {
      const real g = 1 / std::sqrt(var.data()[o]);
      weight_g.data()[o] = g;
      if (!layer.bias.empty()) layer.bias.data()[o] = -g * mean.data()[o];
    }
  }

  Tensor forward(Tensor x) override {
    return with_weight(layer, std::move(x), weight_norm(layer.weight, weight_g));
  }
  void visit(Visitor& v) override {
    v("weight_g", weight_g), v("weight_v", layer.weight), v("bias", layer.bias);
  }
  LayerInfo info() override {
    LayerInfo wrapped = layer.info();
    wrapped.type = &typeid(WeightNorm);
    wrapped.weight = nullptr;  // the effective weight is computed in each call
    return wrapped;
  }
  std::string describe() const override { return "WeightNorm of " + layer.describe(); }
};

}  // namespace ballast::inline BALLAST_PRECISION
