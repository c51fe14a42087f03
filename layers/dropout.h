#pragma once

#include <ballast/core/module.h>
#include <ballast/layers/functional/dropout.h>

namespace ballast::inline BALLAST_PRECISION {

/// In training each element is dropped with probability p and the others are scaled by 1 / (1 - p); see
/// `dropout`.
struct Dropout : Module {
  double p;
  explicit Dropout(double probability = 0.5) : p(probability) {
    check<ValueError>(p >= 0 && p <= 1, "Dropout: a probability of {}; give 0 to 1", p);
  }
  Tensor forward(Tensor x) override { return dropout(std::move(x), p); }
  LayerInfo info() override {
    return {.type = &typeid(Dropout), .multiply_adds = 0, .lipschitz = 1, .dropout = p};
  }
  std::string describe() const override { return fmt::format("Dropout {}", p); }
};

/// The same for whole channels of (N, C, ...) (Tompson et al. 2015): for convolutions, whose neighbouring
/// pixels know of each other.
struct Dropout2d : Module {
  double p;
  explicit Dropout2d(double probability = 0.5) : p(probability) {
    check<ValueError>(p >= 0 && p <= 1, "Dropout2d: a probability of {}; give 0 to 1", p);
  }
  Tensor forward(Tensor x) override { return channel_dropout(std::move(x), p); }
  LayerInfo info() override {
    return {.type = &typeid(Dropout2d), .multiply_adds = 0, .lipschitz = 1, .dropout = p};
  }
  std::string describe() const override { return fmt::format("Dropout2d {}", p); }
};

}  // namespace ballast::inline BALLAST_PRECISION
