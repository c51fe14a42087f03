#pragma once

#include <algorithm>
#include <cmath>

#include <ballast/core/module.h>
#include <ballast/core/ops/activation.h>
#include <ballast/layers/fusible.h>

namespace ballast::inline BALLAST_PRECISION {

// The activations as layers, for a Sequential; see the functions of the same name in small letters.

struct ReLU : Module {
  Tensor forward(Tensor x) override { return relu(std::move(x)); }
  LayerInfo info() override {
    return {
        .type = &typeid(ReLU), .multiply_adds = 0, .lipschitz = 1, .increasing = true, .dead_at_zero = true};
  }
  std::string describe() const override { return "ReLU"; }
};

struct LeakyReLU : Module {
  real slope;
  explicit LeakyReLU(real negative_slope = real(0.01)) : slope(negative_slope) {}
  Tensor forward(Tensor x) override { return leaky_relu(std::move(x), slope); }
  LayerInfo info() override {
    return {.type = &typeid(LeakyReLU),
            .multiply_adds = 0,
            .lipschitz = std::max(1.0, static_cast<double>(slope)),
            .increasing = true};
  }
  std::string describe() const override { return fmt::format("LeakyReLU {}", slope); }
};

struct Sigmoid : Module {
  Tensor forward(Tensor x) override { return sigmoid(std::move(x)); }
  LayerInfo info() override {
    return {.type = &typeid(Sigmoid), .multiply_adds = 0, .lipschitz = 0.25, .increasing = true};
  }  // at 0
  std::string describe() const override { return "Sigmoid"; }
};

struct Tanh : Module {
  Tensor forward(Tensor x) override { return tanh(std::move(x)); }
  LayerInfo info() override {
    return {.type = &typeid(Tanh), .multiply_adds = 0, .lipschitz = 1, .increasing = true};
  }
  std::string describe() const override { return "Tanh"; }
};

struct ELU : Module {
  real alpha;
  explicit ELU(real scale = 1) : alpha(scale) {}
  Tensor forward(Tensor x) override { return elu(std::move(x), alpha); }
  LayerInfo info() override {
    return {.type = &typeid(ELU),
            .multiply_adds = 0,
            .lipschitz = std::max(1.0, std::abs(double{alpha})),
            .increasing = true};
  }
  std::string describe() const override { return fmt::format("ELU {}", alpha); }
};

struct Softplus : Module {
  Tensor forward(Tensor x) override { return softplus(std::move(x)); }
  LayerInfo info() override {
    return {.type = &typeid(Softplus), .multiply_adds = 0, .lipschitz = 1, .increasing = true};
  }
  std::string describe() const override { return "Softplus"; }
};

/// An activation that falls to its least value and rises from there, with the max pooling over windows of 2
/// x 2 that follows it.
template <Then::Activation activation>
struct PoolableActivation : Fusible {
  Tensor forward_then(Tensor x, const Then& then) override {
    if (then.max_pool) return detail::max_pool_activated(x, activation);
    return apply({.activation = activation}, std::move(x));
  }

 protected:
  bool can_fuse(const Then& then) const override { return then.activation == Then::Activation::none; }
};

struct SiLU : PoolableActivation<Then::Activation::silu> {
  LayerInfo info() override {
    return {.type = &typeid(SiLU), .multiply_adds = 0, .lipschitz = 1.09984};
  }  // at 2.3994
  std::string describe() const override { return "SiLU"; }

 protected:
  const std::type_info& fused_type() const override { return typeid(SiLU); }
};

struct GELU : PoolableActivation<Then::Activation::gelu> {
  // At sqrt 2: Phi(sqrt 2) + sqrt 2 phi(sqrt 2)
  LayerInfo info() override { return {.type = &typeid(GELU), .multiply_adds = 0, .lipschitz = 1.12905}; }
  std::string describe() const override { return "GELU"; }

 protected:
  const std::type_info& fused_type() const override { return typeid(GELU); }
};

struct Softmax : Module {
  int axis;
  explicit Softmax(int along = -1) : axis(along) {}
  Tensor forward(Tensor x) override { return softmax(std::move(x), axis); }
  // The Jacobian is the covariance of a draw of one class, whose variance along any unit vector is at most
  // (sqrt 2 / 2)^2 (Popoviciu's inequality).
  LayerInfo info() override { return {.type = &typeid(Softmax), .multiply_adds = 0, .lipschitz = 0.5}; }
  std::string describe() const override { return fmt::format("Softmax along axis {}", axis); }
};

}  // namespace ballast::inline BALLAST_PRECISION
