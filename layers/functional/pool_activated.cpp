#include <ballast/layers/functional/detail/pool_activated.h>

namespace ballast::inline BALLAST_PRECISION::detail {

PoolActivated::PoolActivated(Then::Activation activation, int64_t windows, real* memory)
    : f_(activation == Then::Activation::gelu ? kernels().gelu : kernels().silu),
      low_(memory),
      low_kept_(memory + windows),
      argmin_(reinterpret_cast<uint8_t*>(memory + 2 * windows)) {}

// y = f(x); with `keep`, x becomes what the gradient is a formula of.
void PoolActivated::evaluate(int64_t count, real* x, real* y, bool keep) const {
  if (keep && f_.kept == Function::Kept::slope) return f_.value_and_slope(count, x, {y}, {x}, 0, 0);
  f_.value(count, x, {y}, 0, 0);
}

void PoolActivated::forward(const PoolPlane& p, const real* x, real* y, uint8_t* argmax, real* kept) const {
  const bool keep = kept != nullptr;
  const int64_t count = p.rows * p.columns;
  real *high = keep ? kept : y, *low = low_, *low_kept = low_kept_;
  kernels().min_max_pool(p, x, low_kept, high, keep ? argmin_ : nullptr, argmax);
  evaluate(count, high, y, keep);
  evaluate(count, low_kept, low, keep);
  kernels().take_larger(count, low, low_kept, argmin_, y, kept, argmax);
}

void PoolActivated::backward(const PoolPlane& p, const real* dy, const uint8_t* argmax, const real* kept,
                             real* dx) const {
  f_.gradient(p.rows * p.columns, dy, kept, {low_}, 0, 0);
  kernels().max_pool_gradient(p, low_, argmax, dx);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
