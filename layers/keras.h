#pragma once

#include <ballast/layers/batch_norm.h>

namespace ballast::inline BALLAST_PRECISION {

// Models that come from Keras: gamma is `weight`, beta `bias`, moving_mean `running_mean`; the rest is
// converted.

/// The options that mean what BatchNormalization's arguments mean in Keras, and its defaults: there
/// `momentum` weighs the old value, here the new one.
inline BatchNormOptions keras_batch_norm(double momentum = 0.99, double eps = 1e-3) {
  return {.eps = static_cast<real>(eps), .momentum = 1 - momentum};
}

/// The running_var that training here would have stored where Keras stored `moving_variance`: of the unbiased
/// variance, n/(n-1) times the biased one, for n = `values` per channel and batch (N, or N H W). For training
/// on; to get Keras's own outputs in evaluation, take its moving_variance as it is. TensorFlow's fused
/// kernels
/// (`fused=True`, Keras 2 on images) store the unbiased one already.
inline Tensor keras_running_var(const Tensor& moving_variance, int64_t values) {
  check<ValueError>(values >= 2, "keras_running_var: {} values per channel have no variance; give at least 2",
                    values);
  Tensor var = moving_variance.clone();
  const double n = static_cast<double>(values);
  for (int64_t c = 0; c < var.count(); ++c) var.data()[c] = static_cast<real>(var.data()[c] * n / (n - 1));
  return var;
}

}  // namespace ballast::inline BALLAST_PRECISION
