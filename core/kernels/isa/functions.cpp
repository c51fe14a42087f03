#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

namespace {

// y[i] = f(from[i]...), two vectors at a time: their instructions are independent of each other, so that one
// fills the time in which the other waits for its last result. The lanes beyond the last element are 0: every
// function is defined there.
template <class F, class... From>
[[gnu::always_inline]] inline void map(int64_t count, Destination y, F f, const From*... from) {
  const Writer to(y, count);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const Vector first = f(load(from + i)...), second = f(load(from + i + lanes)...);
    to.put(i, first);
    to.put(i + lanes, second);
  }
  for (; i < count; i += lanes) {
    const int64_t valid = least(count - i, lanes);
    to.put(i, f(load_first(from + i, valid)...), valid);
  }
}

// The same for a function that has two results.
template <class F>
[[gnu::always_inline]] inline void map_to_two(int64_t count, const real* from, Destination y,
                                              Destination also, F f) {
  const Writer to(y, count), also_to(also, count);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const std::pair<Vector, Vector> first = f(load(from + i)), second = f(load(from + i + lanes));
    to.put(i, first.first), also_to.put(i, first.second);
    to.put(i + lanes, second.first), also_to.put(i + lanes, second.second);
  }
  for (; i < count; i += lanes) {
    const int64_t valid = least(count - i, lanes);
    const std::pair<Vector, Vector> results = f(load_first(from + i, valid));
    to.put(i, results.first, valid), also_to.put(i, results.second, valid);
  }
}

}  // namespace

#define BALLAST_FUNCTION(name, kept, denormals, formula, gradient_formula)                                  \
  void name##_value(int64_t count, const real* from, Destination y, [[maybe_unused]] real a,                \
                    [[maybe_unused]] real b) {                                                              \
    map(                                                                                                    \
        count, y, [=](Vector x) BALLAST_ALWAYS_INLINE -> Vector { return formula; }, from);                 \
  }                                                                                                         \
  void name##_gradient(int64_t count, const real* dy, const real* kept_at, Destination dx,                  \
                       [[maybe_unused]] real a, [[maybe_unused]] real b) {                                  \
    map(                                                                                                    \
        count, dx, [=](Vector g, Vector kept) BALLAST_ALWAYS_INLINE -> Vector { return gradient_formula; }, \
        dy, kept_at);                                                                                       \
  }
#define BALLAST_SLOPED_FUNCTION(name, denormals, formula, slope_formula)                                 \
  BALLAST_FUNCTION(name, slope, denormals, formula, g* slope)                                            \
  void name##_value_and_slope(int64_t count, const real* from, Destination y, Destination slope,         \
                              [[maybe_unused]] real a, [[maybe_unused]] real b) {                        \
    map_to_two(count, from, y, slope, [=](Vector x) BALLAST_ALWAYS_INLINE -> std::pair<Vector, Vector> { \
      return {formula, slope_formula};                                                                   \
    });                                                                                                  \
  }
#include <ballast/core/kernels/functions.inc>
#undef BALLAST_FUNCTION
#undef BALLAST_SLOPED_FUNCTION

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
