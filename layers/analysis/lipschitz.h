#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/module.h>

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

namespace detail {
Certificate certify_in_place(Module& model, const Shape& sample_shape);
}

/// The product of the layers' bounds, after folding batch norms in a copy; where results are added up, as in
/// a Residual, so are bounds. An affine layer's is its largest singular value for this sample shape (without
/// N), a convolution's with its zero padding, by `top_singular`; any other's is LayerInfo::lipschitz. Exact
/// arithmetic is assumed of the network. Throws ValueError for a layer without a bound of use, such as layer
/// normalization, for one that doesn't override `info`, and when a few random steps show that what a layer
/// says isn't so.
template <std::derived_from<Module> Model>
Certificate certify(const Model& model, const Shape& sample_shape) {
  Model copy = model;
  return detail::certify_in_place(copy, sample_shape);
}

/// For each sample the distance, in the 2-norm of the input, within which the prediction can't change: margin
/// / (sqrt(2) bound), where the margin is the logit at the label less the largest other one (Tsuzuku, Sato &
/// Sugiyama 2018). 0 where the prediction is wrong. Throws UsageError when the certificate isn't this
/// model's.
std::vector<double> certified_radii(const Certificate& certificate, Module& model, const Tensor& x,
                                    const Labels& y);

}  // namespace ballast::inline BALLAST_PRECISION
