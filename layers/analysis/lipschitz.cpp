#include <ballast/layers/analysis/lipschitz.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/layers/analysis/fold.h>
#include <ballast/layers/analysis/parts.h>
#include <ballast/layers/analysis/spectrum.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

double length(const Tensor& x) {
  double squares = 0;
  for (const double v : x.values()) squares += v * v;
  return std::sqrt(squares);
}

// Throws ValueError when what a layer says of itself is wrong at a few random places: that it stretches no
// step by more than its bound, and, if it is affine, the step that attains it by as much anywhere.
void check_claim(Module& layer, const LayerBound& found, const Shape& input) {
  const RestoreRandomState restore;
  for (int trial = 0; trial < 4; ++trial) {
    const Tensor x = randn(input), y = predict(layer, x);
    const Tensor step = found.direction.empty() || trial % 2 ? randn(input) : found.direction;
    const double moved = length(predict(layer, x + step) - y), most = found.bound * length(step);
    const double rounding = 1e-3 * (most + length(y));
    const bool attains = found.direction.empty() || trial % 2 || moved >= found.attained - rounding;
    check<ValueError>(
        moved <= most + rounding && attains,
        "certify: {} moves its output by {:.5g} for a step that should move it by at most {:.5g}{}: "
        "what its info() says isn't so; a class that overrides forward must override info() too",
        named(found.path, layer), moved, most,
        found.direction.empty() ? "" : fmt::format(" and at least {:.5g}", found.attained));
  }
}

class Bounds {
 public:
  std::vector<LayerBound> layers;

  // x is a sample of the shape that arrives; becomes what the layer makes of it.
  double of(Module& layer, const std::string& path, Tensor& x) {
    const LayerInfo info = info_of(layer);
    if (info.structure == LayerInfo::Structure::sequence) return of_sequence(layer, path, x);
    if (info.structure == LayerInfo::Structure::sum) return of_sum(layer, path, x);
    LayerBound found{path, layer.describe(), 0, 0, {}};
    if (info.affine) {
      TopSingular top = top_singular([&](Tensor t) { return layer(std::move(t)); }, x.shape());
      found.bound = top.bound;
      found.attained = top.value;
      found.direction = std::move(top.direction);
    } else {
      check<ValueError>(
          info.known,
          "certify: layer {} doesn't say how much it can stretch a distance; override info() to give "
          ".affine, .lipschitz, or .structure for the modules inside it",
          named(path, layer));
      check<ValueError>(
          info.lipschitz.has_value(), "certify: layer {} has no Lipschitz bound of use{}", named(path, layer),
          info.norm ? " (a norm by each sample's own statistics stretches by up to 1/sqrt(eps), about "
                      "300, where the variance vanishes)"
                    : "");
      found.bound = *info.lipschitz;
    }
    if (std::isfinite(found.bound)) check_claim(layer, found, x.shape());
    x = predict(layer, std::move(x));
    layers.push_back(std::move(found));
    return layers.back().bound;
  }

 private:
  double of_sequence(Module& sequence, const std::string& path, Tensor& x) {
    double product = 1;
    for (const auto& [name, child] : own_parts(sequence).modules)
      product *= of(*child, joined(path, name), x);
    return product;
  }

  double of_sum(Module& sum, const std::string& path, Tensor& x) {
    double total = 0;
    for (const auto& [name, child] : own_parts(sum).modules) {
      Tensor input = x;
      total += of(*child, joined(path, name), input);
    }
    x = predict(sum, std::move(x));
    return total;
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

Certificate detail::certify_in_place(Module& model, const Shape& sample_shape) {
  Certificate certificate{0, {}, hash_statistics(model), hash_weights(model)};
  fold(model);
  for_each_parameter(model, [](const std::string&, Parameter& p) { p.set_trainable(false); });
  Bounds bounds;
  Tensor x = zeros(sample_shape.inserted(0, 1));
  certificate.bound = bounds.of(model, "", x);
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
