#include <ballast/core/detail/accumulate.h>

#include <algorithm>

#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION::detail {

void accumulate(real* g, const real* x, int64_t count, real beta) {
  parallel_for(count, elementwise_grain, [=](int64_t begin, int64_t end) {
    if (beta == 0) {
      std::copy(x + begin, x + end, g + begin);
    } else {
      kernels().add.value(end - begin, {g + begin, true}, {x + begin, true}, {g + begin});
      //~ kernels().add.value(end - begin, {x + begin, true}, {x + begin, true}, {g + begin});
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
