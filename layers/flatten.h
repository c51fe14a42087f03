#pragma once

#include <ballast/core/module.h>
#include <ballast/core/ops/movement.h>

namespace ballast::inline BALLAST_PRECISION {

/// (N, ...) -> (N, everything else)
struct Flatten : Module {
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() >= 2, "x is {}; it must have at least two axes, (N, ...)", x.shape());
    return flatten(std::move(x));
  }
  LayerInfo info() override {
    return {
        .type = &typeid(Flatten), .multiply_adds = 0, .lipschitz = 1, .positions = LayerInfo::Positions::one};
  }
  std::string describe() const override { return "Flatten"; }
};

}  // namespace ballast::inline BALLAST_PRECISION
