#pragma once

#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

/// Calls body(i, valid) for vectors of the elements from i on, of which `valid` are within `count`.
template <class Body>
[[gnu::always_inline]] inline void for_vectors(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, AllLanes{});
  if (i < count) body(i, count - i);
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
