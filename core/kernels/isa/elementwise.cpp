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

void rmsprop(const RMSpropStep& given, int64_t count, real* value, const real* grad, real* v, real* buffer) {
  const RMSpropStep s = given;
  const auto direction = [=](int64_t i) BALLAST_ALWAYS_INLINE {
    const real g = grad[i] + s.l2 * value[i];
    v[i] = s.alpha * v[i] + s.one_minus_alpha * g * g;
    return g / (root(v[i]) + s.eps);
  };
  if (buffer == nullptr) {
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) value[i] -= s.rate * direction(i);
    return;
  }
  BALLAST_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    buffer[i] = s.momentum * buffer[i] + direction(i);
    value[i] -= s.rate * buffer[i];
  }
}

namespace {

// second_moment(i, v) is what stands for v in element i's update.
template <class SecondMoment>
[[gnu::always_inline]] inline void adam_by(const AdamStep& given, int64_t count, real* value,
                                           const real* grad, real* m, real* v, SecondMoment second_moment) {
  const AdamStep s = given;
  BALLAST_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const real g = grad[i] + s.l2 * value[i];
    m[i] = s.beta1 * m[i] + s.one_minus_beta1 * g;
    v[i] = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
    value[i] = s.decay * value[i] - s.rate * m[i] / (root(second_moment(i, v[i])) * s.v_correction + s.eps);
  }
}

}  // namespace

void adam(const AdamStep& s, int64_t count, real* value, const real* grad, real* m, real* v) {
  adam_by(s, count, value, grad, m, v, [](int64_t, real second) BALLAST_ALWAYS_INLINE { return second; });
}

void amsgrad(const AdamStep& s, int64_t count, real* value, const real* grad, real* m, real* v,
             real* largest) {
  adam_by(s, count, value, grad, m, v, [=](int64_t i, real second) BALLAST_ALWAYS_INLINE {
    return largest[i] = second > largest[i] ? second : largest[i];
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
