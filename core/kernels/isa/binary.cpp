#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Calls f with a function of (i, valid) that gives the operand's elements from i on.
template <class F>
[[gnu::always_inline]] inline void with_vectors(Elements x, F f) {
  if (x.steps) {
    //~ if (x.at) {
    f([from = x.at](int64_t i, auto valid) BALLAST_ALWAYS_INLINE { return load_first(from + i, valid); });
  } else {
    f([fixed = broadcast(*x.at)](int64_t, auto) BALLAST_ALWAYS_INLINE { return fixed; });
  }
}

template <class F>
[[gnu::always_inline]] inline void with_vectors(Elements of_a, Elements of_b, F f) {
  with_vectors(of_a, [=](auto a) BALLAST_ALWAYS_INLINE {
    with_vectors(of_b, [=](auto b) BALLAST_ALWAYS_INLINE { f(a, b); });
  });
}

}  // namespace

#define BALLAST_BINARY(name, text, denormals, formula)                            \
  void name##_value(int64_t count, Elements of_a, Elements of_b, Destination y) { \
    const Writer to(y, count);                                                    \
    with_vectors(of_a, of_b, [=](auto a_at, auto b_at) BALLAST_ALWAYS_INLINE {    \
      for_vectors(count, [=](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {       \
        const Vector a = a_at(i, valid), b = b_at(i, valid);                      \
        to.put(i, formula, valid);                                                \
      });                                                                         \
    });                                                                           \
  }
#include <ballast/core/kernels/binary.inc>
#undef BALLAST_BINARY

void where(int64_t count, Elements condition, Elements of_a, Elements of_b, Destination y) {
  const Writer to(y, count);
  with_vectors(condition, [=](auto c) BALLAST_ALWAYS_INLINE {
    with_vectors(of_a, of_b, [=](auto a, auto b) BALLAST_ALWAYS_INLINE {
      for_vectors(count, [=](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
        to.put(i, select(c(i, valid) != 0, a(i, valid), b(i, valid)), valid);
      });
    });
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
