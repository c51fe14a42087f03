#pragma once

#include <limits>
#include <optional>

#include <ballast/core/parameter.h>
#include <ballast/core/tape.h>
#include <ballast/layers/functional/then.h>

namespace ballast::inline BALLAST_PRECISION {

// All norms but the last compute y = (x - mean) / sqrt(var + eps) * weight + bias with the biased variance,
// and differ in the set of values that mean and variance are taken over. `weight` and `bias` may be empty
// tensors (1 and 0). Mean and variance are formed in double and shifted: a constant input of any size gives
// exactly the bias. `then` follows in the same pass over memory.
//
// Throw ShapeError where a set is a single value, of which nothing would remain but the bias (of RMS
// normalization: the sign); where a set or the batch is empty, so is the result. Throw ValueError for an eps
// that isn't a finite number above 0. An infinity or NaN in x makes its set NaN, and no other; by running
// statistics, which are constants, it makes only itself so, and no gradient of another element.

/// Where a batch normalization keeps its running statistics; any of the three may be null.
struct RunningStatistics {
  Buffer* mean = nullptr;
  Buffer* var = nullptr;  // of the unbiased variance
  Counter* batches = nullptr;
  /// Weight of the new value: running = (1 - momentum) running + momentum batch, PyTorch's convention; from 0
  /// to 1, else ValueError. Without one, the mean over all batches. An empty batch is counted and leaves
  /// them.
  std::optional<double> momentum = 0.1;
};

/// Batch normalization (Ioffe & Szegedy 2015): per channel over the batch and all positions. x (N, C) or (N,
/// C, ...). Normalizes by the batch's statistics and updates the running ones when a scope trains or when
/// there are no running ones, else by the running ones.
Tensor batch_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running = {},
                  real eps = real(1e-5), const Then& then = {});

/// Layer normalization (Ba et al. 2016): per sample, over the last `axes` axes. weight and bias have their
/// shape.
Tensor layer_norm(Tensor x, int axes, Tensor weight, Tensor bias, real eps = real(1e-5),
                  const Then& then = {});

/// Group normalization (Wu & He 2018): per sample over groups of C/groups channels and all positions. x (N,
/// C, ...); weight, bias (C).
Tensor group_norm(Tensor x, int64_t groups, Tensor weight, Tensor bias, real eps = real(1e-5),
                  const Then& then = {});

/// Instance normalization (Ulyanov et al. 2016): per sample and channel over all positions. x (N, C, ...),
/// weight, bias (C). With running statistics, which here average the instances' own, evaluation normalizes by
/// them.
Tensor instance_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running = {},
                     real eps = real(1e-5), const Then& then = {});

/// Root mean square normalization (Zhang & Sennrich 2019): y = x / sqrt(mean(x^2) + eps) * weight over the
/// last `axes` axes, whose shape weight has. eps is the machine epsilon of `real` unless given, as in
/// PyTorch.
Tensor rms_norm(Tensor x, int axes, Tensor weight, real eps = std::numeric_limits<real>::epsilon(),
                const Then& then = {});

namespace detail {

/// Throw ValueError unless eps is finite and above 0, momentum, if there is one, from 0 to 1, and the
/// number of channels at least 1. `norm` is named in the message.
void check_eps(const char* norm, real eps);
void check_momentum(const char* norm, const std::optional<double>& momentum);
void check_channels(const char* norm, int64_t channels);

}  // namespace detail

}  // namespace ballast::inline BALLAST_PRECISION
