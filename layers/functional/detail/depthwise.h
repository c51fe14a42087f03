#pragma once

#include <ballast/layers/functional/detail/convolution.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Whether each channel is convolved with a filter of its own, as the functions below assume, and the padded
/// input isn't so large that they would spend their time on padding.
inline bool is_depthwise(const Convolution& s) {
  const auto fits = [](const WindowAxis& a) { return a.stride <= 4 && a.padding <= a.in; };
  return s.channels == 1 && s.filters == 1 && fits(s.h) && fits(s.w);
}

/// What the functions of convolution.h of these names compute. A ReLU goes with a beta of 0 only.
void depthwise_convolve(const Convolution& s, const real* x, const real* weight, const real* bias, real beta,
                        bool relu, real* y);
void depthwise_input_gradient(const Convolution& s, const real* weight, const real* dy, real beta, real* dx);
void depthwise_weight_gradient(const Convolution& s, const real* x, const real* dy, real beta, real* dw);

}  // namespace ballast::inline BALLAST_PRECISION::detail
