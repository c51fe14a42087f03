#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// g = beta g + x, over `count` elements, where beta is 0 or 1; with 0, g may be uninitialized.
void accumulate(real* g, const real* x, int64_t count, real beta);

}  // namespace ballast::inline BALLAST_PRECISION::detail
