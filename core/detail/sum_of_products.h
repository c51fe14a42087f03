#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// sum_to(a * b, shape). Where both have one shape and the last axis is summed, the product takes no memory.
Tensor sum_of_products_to(Tensor a, const Tensor& b, const Shape& shape);

}  // namespace ballast::inline BALLAST_PRECISION::detail
