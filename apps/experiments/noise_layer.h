#pragma once

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/random.h>
#include <ballast/layers/sequential.h>

namespace ballast::app::experiments {

/// The noise of Santurkar et al. 2018, appendix A.2: in training, each value x of unit j becomes s x + m,
/// with m uniform within 0.1 of a mean and s normal around a deviation (0.1), both drawn anew for each unit
/// in each step: the mean from U(-0.5, 0.5), the deviation from U(1, 1.25). In evaluation it is the identity.
struct CovariateShiftNoise : Module {
  Tensor forward(Tensor x) override {
    if (!Scope::dropout()) return x;
    const Shape units{1, x.size(1)};
    const Tensor mean = rand(units, real(-0.5), real(0.5)), deviation = rand(units, 1, real(1.25));
    const Tensor s = randn(x.shape(), 0, real(0.1)) + deviation,
                 m = rand(x.shape(), real(-0.1), real(0.1)) + mean;
    return std::move(x) * s + m;
  }
};

}  // namespace ballast::app::experiments
