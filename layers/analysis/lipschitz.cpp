#include <ballast/layers/analysis/lipschitz.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <ballast/core/predict.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/analysis/fold.h>
#include <ballast/layers/analysis/spectrum.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/layers/weight_norm.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

template <class... Layers>
bool is_any(const Module& layer) {
  return ((dynamic_cast<const Layers*>(&layer) != nullptr) || ...);
}

bool is_affine(const Module& layer) {
  if (const auto norm = dynamic_cast<const TrackingNorm*>(&layer)) return norm->options.track_running_stats;
  return is_any<Linear, Conv1d, Conv2d, WeightNorm<Linear>, WeightNorm<Conv2d>, SpectralNorm<Linear>,
                SpectralNorm<Conv2d>, AvgPool1d, AvgPool2d, GlobalAvgPool>(layer);
}

// Each input element stands in at most so many windows, and each window passes one element on.
double max_pool_bound(Pair window, const PoolOptions& options) {
  const Pair stride = options.stride.value_or(window);
  const auto shared = [](int64_t size, int64_t step) { return (size + step - 1) / step; };
  return std::sqrt(static_cast<double>(shared(window.h, stride.h) * shared(window.w, stride.w)));
}

// The largest slope of a layer that isn't affine.
std::optional<double> largest_slope(const Module& layer) {
  if (is_any<ReLU, Tanh, Flatten, Dropout>(layer)) return 1;
  if (const auto leaky = dynamic_cast<const LeakyReLU*>(&layer))
    return std::max(1.0, static_cast<double>(leaky->slope));
  if (is_any<Sigmoid>(layer)) return 0.25;  // at 0
  if (is_any<SiLU>(layer)) return 1.09984;  // at 2.3994
  if (is_any<GELU>(layer)) return 1.12905;  // at sqrt 2: Phi(sqrt 2) + sqrt 2 phi(sqrt 2)
  // The Jacobian is the covariance of a draw of one class, whose variance along any unit vector is at most
  // (sqrt 2 / 2)^2 (Popoviciu's inequality).
  if (is_any<Softmax>(layer)) return 0.5;
  if (const auto pool = dynamic_cast<const MaxPool1d*>(&layer))
    return max_pool_bound(pool->window, pool->options);
  if (const auto pool = dynamic_cast<const MaxPool2d*>(&layer))
    return max_pool_bound(pool->window, pool->options);
  return {};
}

class Bounds {
 public:
  std::vector<LayerBound> layers;

  // x is a sample of the shape that arrives; becomes what the layer makes of it.
  double of(Module& layer, const std::string& path, Tensor& x) {
    if (const auto sequence = dynamic_cast<Sequential*>(&layer)) return of_sequence(*sequence, path, x);
    if (const auto residual = dynamic_cast<Residual*>(&layer)) {
      Tensor around = x;
      return of(residual->body, path + ".body", x) + of(residual->shortcut, path + ".shortcut", around);
    }
    LayerBound found{path, layer.describe(), 0, 0, {}};
    if (is_affine(layer)) {
      TopSingular top = top_singular([&](Tensor t) { return layer(std::move(t)); }, x.shape());
      found.bound = top.bound;
      found.attained = top.value;
      found.direction = std::move(top.direction);
    } else {
      const std::optional<double> slope = largest_slope(layer);
      check<ValueError>(
          slope.has_value(),
          "certify: layer {} ({}) has no Lipschitz bound of use; known are Linear, convolutions, "
          "activations, pooling, batch norm, Flatten, Dropout, Sequential and Residual (a norm by "
          "each sample's own statistics stretches by up to 1/sqrt(eps), about 300, where the "
          "variance vanishes)",
          path, layer.describe());
      found.bound = *slope;
    }
    x = predict(layer, std::move(x));
    layers.push_back(std::move(found));
    return layers.back().bound;
  }

 private:
  double of_sequence(Sequential& sequence, const std::string& path, Tensor& x) {
    double product = 1;
    for (size_t i = 0; i < sequence.size(); ++i) {
      product *= of(sequence[i], (path.empty() ? "" : path + ".") + std::to_string(i), x);
    }
    return product;
  }
};

// FNV-1a, 64 bits (Fowler, Noll & Vo).
class Hash {
 public:
  void add(const std::string& path, const Tensor& values) {
    add(path.data(), path.size());
    add(values.data(), static_cast<size_t>(values.count()) * sizeof(real));
  }
  uint64_t value = 0xcbf29ce484222325;

 private:
  void add(const void* data, size_t size) {
    const auto bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001b3;
  }
};

uint64_t hash_statistics(Module& model) {
  Hash hash;
  for_each_buffer(model, [&](const std::string& path, Buffer& b) { hash.add(path, b); });
  return hash.value;
}

uint64_t hash_weights(Module& model) {
  Hash hash;
  for_each_parameter(model, [&](const std::string& path, Parameter& p) { hash.add(path, p); });
  return hash.value;
}

}  // namespace

Certificate certify(const Sequential& model, const Shape& sample_shape) {
  Sequential folded = model;
  Certificate certificate{0, {}, hash_statistics(folded), hash_weights(folded)};
  fold(folded);
  for_each_parameter(folded, [](const std::string&, Parameter& p) { p.set_trainable(false); });
  Bounds bounds;
  Tensor x = zeros(sample_shape.inserted(0, 1));
  certificate.bound = bounds.of(folded, "", x);
  certificate.layers = std::move(bounds.layers);
  check<ValueError>(std::isfinite(certificate.bound),
                    "certify: the bound is {}: the weights aren't all finite", certificate.bound);
  return certificate;
}

void Certificate::check_valid(Module& model) const {
  check<UsageError>(hash_statistics(model) == statistics_hash,
                    "the model's running statistics aren't those of the certificate; certify it again");
  check<UsageError>(hash_weights(model) == weights_hash,
                    "the model's parameters aren't those of the certificate; certify it again");
}

std::vector<double> certified_radii(const Certificate& certificate, Module& model, const Tensor& x,
                                    const Labels& y) {
  certificate.check_valid(model);
  const Tensor logits = predict(model, x);
  check<ShapeError>(logits.rank() == 2 && logits.shape()[0] == y.size() && logits.shape()[1] > 1,
                    "certified_radii: logits are {} for {} labels; they must be (N, classes)", logits.shape(),
                    y.size());
  const int64_t classes = logits.shape()[1];
  std::vector<double> radii;
  for (int64_t n = 0; n < y.size(); ++n) {
    check<ValueError>(y[n] >= 0 && y[n] < classes, "label {} at {}; there are {} classes", y[n], n, classes);
    const real* row = logits.data() + n * classes;
    double other = -INFINITY;
    for (int64_t k = 0; k < classes; ++k) {
      if (k != y[n]) other = std::max(other, static_cast<double>(row[k]));
    }
    const double margin = static_cast<double>(row[y[n]]) - other;
    radii.push_back(margin > 0 ? margin / (std::sqrt(2.0) * certificate.bound) : 0);
  }
  return radii;
}

}  // namespace ballast::inline BALLAST_PRECISION
