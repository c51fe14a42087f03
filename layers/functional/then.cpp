#include <ballast/layers/functional/then.h>

#include <utility>

#include <ballast/core/ops/activation.h>
#include <ballast/layers/functional/pooling.h>

namespace ballast::inline BALLAST_PRECISION {

Tensor apply(const Then& then, Tensor y) {
  switch (then.activation) {
    case Then::Activation::none:
      break;
    case Then::Activation::relu:
      y = relu(std::move(y));
      break;
    case Then::Activation::gelu:
      y = gelu(std::move(y));
      break;
    case Then::Activation::silu:
      y = silu(std::move(y));
      break;
  }
  if (then.max_pool) y = max_pool2d(std::move(y), 2);
  return y;
}

}  // namespace ballast::inline BALLAST_PRECISION
