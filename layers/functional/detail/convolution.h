#pragma once

#include <ballast/core/shape.h>
#include <ballast/layers/functional/detail/window.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The sizes of a convolution, x -> y. Each group is a matrix product: `filters` x `depth` weights times
/// `depth` x positions unfolded inputs, one row for each weight of a filter.
struct Convolution {
  int64_t n, c, o, groups;
  WindowAxis h, w;
  int64_t channels = c / groups;
  int64_t filters = o / groups;
  int64_t depth = channels * h.taps * w.taps;
  int64_t inputs = h.in * w.in;
  int64_t outputs = h.out * w.out;

  Shape x() const { return {n, c, h.in, w.in}; }
  Shape y() const { return {n, o, h.out, w.out}; }
  Shape weight() const { return {o, channels, h.taps, w.taps}; }
};

/// y = beta y + conv(x) + bias, then a ReLU if `relu`, which goes with a beta of 0 only; bias may be null.
void convolve(const Convolution& s, const real* x, const real* weight, const real* bias, real beta, bool relu,
              real* y);
/// dx = beta dx + the gradient of x, and so on.
void input_gradient(const Convolution& s, const real* weight, const real* dy, real beta, real* dx);
void weight_gradient(const Convolution& s, const real* x, const real* dy, real beta, real* dw);
void bias_gradient(const Convolution& s, const real* dy, real beta, real* db);

}  // namespace ballast::inline BALLAST_PRECISION::detail
