#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
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
