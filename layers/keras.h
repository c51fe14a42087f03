#pragma once

#include <ballast/layers/batch_norm.h>

namespace ballast::inline BALLAST_PRECISION {

// Batch normalization's options and statistics by Keras's conventions. gamma is `weight`, beta `bias`,
// moving_mean `running_mean`. Kernels and the axis of channels have to be transposed by hand.

/// Options equivalent to the arguments of Keras's BatchNormalization, whose defaults they have. Keras's
/// momentum weighs the old value, ours the new one.
inline BatchNormOptions keras_batch_norm(double momentum = 0.99, double eps = 1e-3) {
  return {.eps = static_cast<real>(eps), .momentum = 1 - momentum};
}

/// Converts Keras's biased moving_variance to the unbiased running_var of Ballast, n/(n-1) times as large,
/// for n = `values` per channel and batch (N, or N H W). Use it to continue training; for outputs identical
/// to Keras's in evaluation, copy moving_variance unchanged. TensorFlow's fused kernels (`fused=True`, Keras
/// 2 on images) store the unbiased one already.
inline Tensor keras_running_var(const Tensor& moving_variance, int64_t values) {
  check<ValueError>(values >= 2, "keras_running_var: {} values per channel have no variance; give at least 2",
                    values);
  Tensor var = moving_variance.clone();
  const double n = static_cast<double>(values);
  for (int64_t c = 0; c < var.count(); ++c) var.data()[c] = static_cast<real>(var.data()[c] * n / (n - 1));
  return var;
}

}  // namespace ballast::inline BALLAST_PRECISION
