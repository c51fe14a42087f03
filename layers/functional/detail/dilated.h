#pragma once

#include <ballast/layers/functional/detail/convolution.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// A convolution with dilation and a stride of 1, as one without dilation. Rows (and columns) whose numbers
/// leave the same remainder when divided by the dilation see no others: such a phase is a smaller image. Each
/// image of the padded input becomes dilation.h * dilation.w phases, and their convolutions are the phases of
/// the result.
struct Dilated {
  const Convolution& s;
  Convolution phases;  // sizes

  explicit Dilated(const Convolution& convolution);

  /// Images of x -> their phases. Padding is zero, and so is what smaller phases lack.
  void split_inputs(const real* x, real* to) const;
  void split_outputs(const real* y, real* to) const;
  /// y = beta y + the images with the given phases
  void join_outputs(const real* from, real beta, real* y) const;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
