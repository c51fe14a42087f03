#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <typeinfo>

#include <ballast/core/parameter.h>

namespace ballast::inline BALLAST_PRECISION {

/// A normalization, y = weight (x - mean) / sqrt(var + eps) + bias: which elements share a mean and variance,
/// and where running statistics are kept. Absent parts are null or empty.
struct NormInfo {
  int64_t channels = 0;  // size of weight and bias
  Parameter *weight = nullptr, *bias = nullptr;
  double eps = 0;

  // Which axes share a mean and variance: the batch, the positions, and how many channels.
  bool over_batch = false, over_positions = false;
  int64_t channels_together = 1;
  bool subtracts_mean = true;

  // Running statistics, (channels) each, which normalize in evaluation. Null: evaluation uses the input's
  // own.
  Buffer *running_mean = nullptr, *running_var = nullptr;
  Counter* num_batches_tracked = nullptr;
  std::optional<double>* momentum = nullptr;  // as in BatchNormOptions

  bool tracks() const { return running_mean && running_var; }
};

/// What a layer says of itself to the tools of layers/analysis: counting, folding, bounds, probes, advice.
/// The defaults claim nothing.
struct LayerInfo {
  /// False for a layer that doesn't override `info`: tools refuse it, or go by the modules inside it.
  bool known = true;

  /// The class that this describes. It doesn't apply to derived classes, which may compute something else,
  /// unless they override `info` too. Null: it applies to derived classes as well.
  const std::type_info* type = nullptr;

  /// Multiply-adds of matrix products and convolutions per element of the output. 0: none.
  std::optional<int64_t> multiply_adds{};

  /// In evaluation y = A x + b, with A and b the same for every x.
  bool affine = false;
  /// A number L such that |f(x) - f(x')| <= L |x - x'| in evaluation, in the 2-norm of a sample; unnecessary
  /// for an affine layer, whose L is measured.
  std::optional<double> lipschitz{};

  /// For folding a batch norm into the layer: channel o of the output is computed with row o of weight (out,
  /// ...) and element o of bias (out) alone. A layer that can have a bias gives it even when it is absent. A
  /// layer whose weight is computed gives the bias alone.
  Parameter *weight = nullptr, *bias = nullptr;
  /// The axis of channels in input and output: 1, or -1 for the last.
  int channel_axis = 1;
  /// Positions (pixels) per channel of the output: as many as in the input, one, or any number.
  enum class Positions { kept, one, any } positions = Positions::kept;

  std::optional<NormInfo> norm{};
  /// Probability with which an element is dropped in training.
  double dropout = 0;
  /// Each element of the output is the same nondecreasing function of that element of the input, which can
  /// therefore change places with max pooling.
  bool increasing = false;
  /// A unit whose output is 0 passes no gradient on, as in ReLU: probes count those that are always 0.
  bool dead_at_zero = false;

  /// How the result follows from the child modules, in the order of `visit`, if it follows from them alone.
  enum class Structure {
    other,     // unknown: tools take the layer as a whole
    sequence,  // each is given the result of the one before
    sum,       // each is given the input, and their results are added up
  } structure = Structure::other;
  /// Removes module i of a sequence, so that folding can leave a norm out; empty: it then becomes the
  /// identity.
  std::function<void(size_t)> erase{};
};

}  // namespace ballast::inline BALLAST_PRECISION
