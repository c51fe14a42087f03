#pragma once

#include <ballast/core/kernels/kernels.h>
#include <ballast/layers/functional/then.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Max pooling, over windows of 2 x 2, of an activation that falls and rises: max f(x) = max(f(max x), f(min
/// x)), which takes two evaluations per window instead of four.
class PoolActivated {
 public:
  /// Elements of memory that pooling into so many windows takes.
  static int64_t memory(int64_t windows) { return 3 * windows; }
  PoolActivated(Then::Activation activation, int64_t windows, real* memory);

  /// The largest f(x) of each window -> y. If there will be a gradient, the place of that x -> argmax, and
  /// what the gradient is a formula of, x or f's slope -> kept; else both are null.
  void forward(const PoolPlane& p, const real* x, real* y, uint8_t* argmax, real* kept) const;
  /// The gradient of x.
  void backward(const PoolPlane& p, const real* dy, const uint8_t* argmax, const real* kept, real* dx) const;

 private:
  void evaluate(int64_t count, real* x, real* y, bool keep) const;

  const Function& f_;
  real *low_, *low_kept_;
  uint8_t* argmin_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
