#pragma once

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

#define BALLAST_KERNEL(result, name, parameters) result name parameters;
#include <ballast/core/kernels/kernels.inc>
#undef BALLAST_KERNEL

#define BALLAST_FUNCTION(name, ...)                                               \
  void name##_value(int64_t count, const real* x, Destination y, real a, real b); \
  void name##_gradient(int64_t count, const real* dy, const real* kept, Destination dx, real a, real b);
#define BALLAST_SLOPED_FUNCTION(name, ...) \
  BALLAST_FUNCTION(name)                   \
  void name##_value_and_slope(int64_t count, const real* x, Destination y, Destination slope, real a, real b);
#include <ballast/core/kernels/functions.inc>
#undef BALLAST_FUNCTION
#undef BALLAST_SLOPED_FUNCTION

#define BALLAST_BINARY(name, ...) void name##_value(int64_t count, Elements a, Elements b, Destination y);
#include <ballast/core/kernels/binary.inc>
#undef BALLAST_BINARY

#define BALLAST_LOSS(name, ...)                                                                \
  void name##_value(int64_t count, const real* x, const real* t, real* y, real a);             \
  void name##_by_x(int64_t count, const real* x, const real* t, real* dx, real a, real scale); \
  void name##_by_target(int64_t count, const real* x, const real* t, real* dt, real a, real scale);
#include <ballast/core/kernels/losses.inc>
#undef BALLAST_LOSS

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
