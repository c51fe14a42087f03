#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/tensor.h>
#include <ballast/layers/sequential.h>

namespace ballast::inline BALLAST_PRECISION {

/// How much one layer can stretch a distance: |f(x) - f(x')| <= bound |x - x'|, in the 2-norm over a whole
/// sample.
struct LayerBound {
  std::string path, layer;  // in the folded network
  double bound;
  /// For an affine layer, how much it stretches `direction`, a vector of length 1 in the shape (1, ...) of
  /// its input: at least 0.995 of the bound. 0 and empty for other layers.
  double attained;
  Tensor direction;
};

/// A Lipschitz bound of a network in evaluation, of logits by input, and what it was computed from.
struct Certificate {
  double bound;
  std::vector<LayerBound> layers;
  uint64_t statistics_hash;  // of running statistics
  uint64_t weights_hash;     // of parameters

  /// Throws UsageError when the model's running statistics or parameters aren't those that were certified.
  void check_valid(Module& model) const;
};

/// The product of the layers' bounds, after folding batch norms in a copy; a Residual's bound is that of its
/// two ways added up. Affine layers: the largest singular value for this sample shape (without N), a
/// convolution's with its zero padding, by `top_singular`. Others: ReLU, Tanh, Flatten and Dropout 1,
/// LeakyReLU max(1, slope), Sigmoid 1/4, SiLU 1.09984, GELU 1.12905 (the largest slopes), Softmax 1/2, max
/// pooling the root of the number of windows that share an element. Exact arithmetic is assumed of the
/// network. Throws ValueError for a layer without a bound of use, such as layer normalization.
Certificate certify(const Sequential& model, const Shape& sample_shape);

/// For each sample the distance, in the 2-norm of the input, within which the prediction can't change: margin
/// / (sqrt(2) bound), where the margin is the logit at the label less the largest other one (Tsuzuku, Sato &
/// Sugiyama 2018). 0 where the prediction is wrong. Throws UsageError when the certificate isn't this
/// model's.
std::vector<double> certified_radii(const Certificate& certificate, Module& model, const Tensor& x,
                                    const Labels& y);

}  // namespace ballast::inline BALLAST_PRECISION
