#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// to = formula(x, t)
template <class Formula>
[[gnu::always_inline]] inline void map(int64_t count, const real* x, const real* t, real* to,
                                       Formula formula) {
  for_vectors(count, [=](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
    store_first(to + i, formula(load_first(x + i, valid), load_first(t + i, valid)), valid);
  });
}

}  // namespace

#define BALLAST_FORMULA(formula)                                                    \
  [=]([[maybe_unused]] Vector x, [[maybe_unused]] Vector t) BALLAST_ALWAYS_INLINE { \
    [[maybe_unused]] const Vector d = x - t;                                        \
    return formula;                                                                 \
  }
#define BALLAST_LOSS(name, loss, slope_x, slope_t)                                                           \
  void name##_value(int64_t count, const real* from, const real* target, real* y, [[maybe_unused]] real a) { \
    map(count, from, target, y, BALLAST_FORMULA(loss));                                                      \
  }                                                                                                          \
  void name##_by_x(int64_t count, const real* from, const real* target, real* dx, [[maybe_unused]] real a,   \
                   real scale) {                                                                             \
    map(count, from, target, dx, BALLAST_FORMULA(scale*(slope_x)));                                          \
  }                                                                                                          \
  void name##_by_target(int64_t count, const real* from, const real* target, real* dt,                       \
                        [[maybe_unused]] real a, real scale) {                                               \
    map(count, from, target, dt, BALLAST_FORMULA(scale*(slope_t)));                                          \
  }
#include <ballast/core/kernels/losses.inc>
#undef BALLAST_LOSS

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
