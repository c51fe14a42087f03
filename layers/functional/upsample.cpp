#include <ballast/layers/functional/upsample.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/ops/matmul.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/detail/window.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// (in, factor in): column i holds what each element gives to element i of the result.
Tensor interpolation(int64_t in, int64_t factor, UpsampleMode mode) {
  Tensor weights = zeros({in, in * factor});
  for (int64_t i = 0; i < in * factor; ++i) {
    if (mode == UpsampleMode::nearest) {
      weights(i / factor, i) = 1;
      continue;
    }
    const double centre = std::max((static_cast<double>(i) + 0.5) / static_cast<double>(factor) - 0.5, 0.0);
    const int64_t below = static_cast<int64_t>(centre), above = std::min(below + 1, in - 1);
    const real share = static_cast<real>(centre - std::floor(centre));
    weights(below, i) += 1 - share;
    weights(above, i) += share;
  }
  return weights;
}

}  // namespace

Tensor detail::along_axes(Tensor x, const Tensor& rows, const Tensor& columns) {
  return matmul(transpose(rows), matmul(std::move(x), columns));
}

Tensor upsample(Tensor x, Pair factor, UpsampleMode mode) {
  check<ShapeError>(x.rank() == 4, "upsample: x is {}; it must be (N, C, H, W)", x.shape());
  check_option("upsample", "factor", factor, 1);
  const Tensor rows = interpolation(x.size(2), factor.h, mode),
               columns = interpolation(x.size(3), factor.w, mode);
  return along_axes(std::move(x), rows, columns);
}

}  // namespace ballast::inline BALLAST_PRECISION
