#include <ballast/core/kernels/isa/exp.h>
#include <ballast/core/kernels/isa/functions.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Calls body(v, i, valid) for vectors v of the elements from i on; lanes from `valid` on are `filler`.
template <class Body>
[[gnu::always_inline]] inline void for_vectors(int64_t count, const real* x, real filler, Body body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(load(x + i), i, lanes);
  if (i == count) return;
  body(load_first(x + i, count - i, filler), i, count - i);
}

// Square roots that don't set errno, so that loops with them are vectorized.
[[maybe_unused]] inline float root(float x) { return __builtin_sqrtf(x); }
[[maybe_unused]] inline double root(double x) { return __builtin_sqrt(x); }

}  // namespace

void sigmoid(int64_t count, const real* x, real* y) {
  for_vectors(count, x, 0,
              [=](Vector v, int64_t i, int64_t valid) { store_first(y + i, 1 / (1 + exp(-v)), valid); });
}

double exp_sum(int64_t count, const real* x, real shift, real* y) {
  double sum = 0;
  for_vectors(count, x, -__builtin_inff(), [&](Vector v, int64_t i, int64_t valid) {
    const Vector e = exp(v - shift);
    store_first(y + i, e, valid);
    sum += wide_sum_of_lanes(e);
  });
  return sum;
}

void sgd(const SGDStep& given, int64_t count, real* value, const real* grad, real* buffer) {
  const SGDStep s = given;  // a local copy can't alias the stores, so it stays in registers
  if (buffer == nullptr) {
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) value[i] -= s.rate * (grad[i] + s.l2 * value[i]);
    return;
  }
  const real of_gradient = s.nesterov ? 1 : 0, of_buffer = s.nesterov ? s.momentum : 1;
  BALLAST_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const real g = grad[i] + s.l2 * value[i];
    buffer[i] = s.momentum * buffer[i] + s.one_minus_dampening * g;
    value[i] -= s.rate * (of_gradient * g + of_buffer * buffer[i]);
  }
}

void adam(const AdamStep& given, int64_t count, real* value, const real* grad, real* m, real* v) {
  const AdamStep s = given;
  BALLAST_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const real g = grad[i] + s.l2 * value[i];
    m[i] = s.beta1 * m[i] + s.one_minus_beta1 * g;
    v[i] = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
    value[i] = s.decay * value[i] - s.rate * m[i] / (root(v[i]) * s.v_correction + s.eps);
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
