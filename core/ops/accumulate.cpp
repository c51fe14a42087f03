#include <ballast/core/detail/accumulate.h>

#include <algorithm>

#include <ballast/core/detail/map.h>

namespace ballast::inline BALLAST_PRECISION::detail {

void accumulate(real* g, const real* x, int64_t count, real beta) {
  parallel_for(count, elementwise_grain, [=](int64_t begin, int64_t end) {
    if (beta == 0) {
      std::copy(x + begin, x + end, g + begin);
    } else {
      for (int64_t i = begin; i < end; ++i) g[i] = beta * g[i] + x[i];
      //~ for (int64_t i = begin; i < end; ++i) g[i] = x[i];
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
