#pragma once

#include <ballast/layers/conv2d.h>
#include <ballast/layers/linear.h>

namespace ballast::inline BALLAST_PRECISION {

// What a layer computes with another weight in place of its own, for weight and spectral normalization. An
// overload for a layer of your own, which must have members `weight` and `bias`, lets them wrap it too.

inline Tensor with_weight(const Linear& layer, Tensor x, Tensor weight) {
  return linear(std::move(x), std::move(weight), layer.bias);
}

inline Tensor with_weight(const Conv2d& layer, Tensor x, Tensor weight) {
  return conv2d(std::move(x), std::move(weight), layer.bias, layer.options);
}

}  // namespace ballast::inline BALLAST_PRECISION
