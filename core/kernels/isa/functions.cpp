#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

// The lanes beyond the last element are 0: every function is defined there.
#define BALLAST_FUNCTION(name, kept, denormals, formula, gradient_formula)               \
  void name##_value(int64_t count, const real* from, real* to, [[maybe_unused]] real a,  \
                    [[maybe_unused]] real b) {                                           \
    for_vectors(count, [=](int64_t i, auto valid) {                                      \
      const Vector x = load_first(from + i, valid);                                      \
      store_first(to + i, formula, valid);                                               \
    });                                                                                  \
  }                                                                                      \
  void name##_gradient(int64_t count, const real* dy, const real* kept_at, real* dx,     \
                       [[maybe_unused]] real a, [[maybe_unused]] real b) {               \
    for_vectors(count, [=](int64_t i, auto valid) {                                      \
      const Vector g = load_first(dy + i, valid), kept = load_first(kept_at + i, valid); \
      store_first(dx + i, gradient_formula, valid);                                      \
    });                                                                                  \
  }
#include <ballast/core/kernels/functions.inc>
#undef BALLAST_FUNCTION

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
