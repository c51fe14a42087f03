#pragma once

#include <algorithm>

#include <ballast/core/tensor.h>

/// Whether two tensors have one shape and equal elements; NaN equals nothing.
inline bool same_bits(const ballast::Tensor& a, const ballast::Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.values().begin(), a.values().end(), b.values().begin());
}
