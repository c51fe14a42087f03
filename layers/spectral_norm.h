#pragma once

#include <ballast/core/random.h>
#include <ballast/layers/functional/weight_norm.h>
#include <ballast/layers/with_weight.h>

namespace ballast::inline BALLAST_PRECISION {

struct SpectralNormOptions {
  int n_power_iterations = 1;  // in each forward pass that trains
  int warm_up = 15;            // power iterations in the constructor
};

/// Spectral normalization of a Linear, a Conv2d, or any layer with an overload of `with_weight`: its weight,
/// read as a matrix (out, in), is divided by an estimate of its largest singular value (Miyato et al. 2018).
/// Each forward pass that trains, and no other, improves the estimate u^T W v by power iteration; no gradient
/// flows through u and v. weight_orig, bias, weight_u and weight_v are named as by
/// torch.nn.utils.spectral_norm; freezing statistics freezes u and v.
template <class Layer>
struct SpectralNorm : Module {
  Layer layer;  // its weight is weight_orig
  Buffer weight_u, weight_v;
  SpectralNormOptions options;

  explicit SpectralNorm(Layer wrapped, const SpectralNormOptions& o = {})
      : layer(std::move(wrapped)),
        weight_u(randn({layer.weight.shape()[0]})),
        weight_v(zeros({fan_in(layer.weight.shape())})),
        options(o) {
    check<ValueError>(o.warm_up >= 1 && o.n_power_iterations >= 0,
                      "SpectralNorm: {} iterations to warm up, {} per forward pass; give at least 1 and 0",
                      o.warm_up, o.n_power_iterations);
    iterate(o.warm_up);
  }

  /// Runs power iterations; call it after replacing the weight.
  void iterate(int times) {
    real *u = weight_u.update(), *v = weight_v.update();
    for (int i = 0; i < times; ++i) power_iteration(layer.weight, u, v);
  }

  Tensor forward(Tensor x) override {
    if (Tape::recording() && Scope::batch_statistics() && Scope::running_statistics())
      iterate(options.n_power_iterations);
    return with_weight(layer, std::move(x), spectral_norm(layer.weight, weight_u, weight_v));
  }
  void visit(Visitor& v) override {
    v("weight_orig", layer.weight), v("bias", layer.bias), v("weight_u", weight_u), v("weight_v", weight_v);
  }
  LayerInfo info() override {
    LayerInfo wrapped = layer.info();
    wrapped.type = &typeid(SpectralNorm);
    wrapped.weight = nullptr;  // the effective weight is computed in each call
    return wrapped;
  }
  std::string describe() const override { return "SpectralNorm of " + layer.describe(); }
};

}  // namespace ballast::inline BALLAST_PRECISION
