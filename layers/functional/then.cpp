#include <ballast/layers/functional/then.h>

#include <utility>

#include <ballast/core/ops/activation.h>
#include <ballast/layers/functional/pooling.h>

namespace ballast::inline BALLAST_PRECISION {

Tensor apply(const Then& then, Tensor y) {
  if (then.relu) y = relu(std::move(y));
  if (then.max_pool) y = max_pool2d(std::move(y), 2);
  return y;
}

}  // namespace ballast::inline BALLAST_PRECISION
