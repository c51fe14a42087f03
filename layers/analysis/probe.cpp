#include <ballast/layers/analysis/probe.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/tape.h>
#include <ballast/layers/analysis/parts.h>
#include <ballast/layers/analysis/spectrum.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

ActivationStats activation_stats(const Tensor& y, const std::vector<double>& percentiles,
                                 std::vector<real>& finite) {
  ActivationStats stats;
  stats.count = y.count();
  finite.clear();
  std::copy_if(y.values().begin(), y.values().end(), std::back_inserter(finite),
               [](real v) { return std::isfinite(v); });
  stats.not_finite = stats.count - static_cast<int64_t>(finite.size());
  if (finite.empty()) return stats;
  const double n = static_cast<double>(finite.size());
  for (double v : finite) stats.mean += v / n;
  for (double v : finite) stats.variance += (v - stats.mean) * (v - stats.mean) / n;
  for (double percent : percentiles) {
    const double rank = std::ceil(percent * n / 100) - 1;
    const auto place = finite.begin() + static_cast<std::ptrdiff_t>(std::clamp(rank, 0.0, n - 1));
    std::nth_element(finite.begin(), place, finite.end());
    stats.percentiles.push_back(*place);
  }
  return stats;
}

// (N, C, ...), or (..., C) with channels last, as samples x channels x positions.
struct Units {
  int64_t samples, channels, positions;
  Units(const Shape& shape, bool channels_last) {
    const int axis = channels_last ? shape.rank() - 1 : std::min(1, shape.rank() - 1);
    samples = shape.count(0, axis), channels = shape[axis], positions = shape.count(axis + 1, shape.rank());
  }
};

double dead_share(const Tensor& y) {
  const Units units(y.shape(), false);
  int64_t dead = 0;
  for (int64_t c = 0; c < units.channels; ++c) {
    bool alive = false;
    for (int64_t n = 0; n < units.samples && !alive; ++n) {
      const real* v = y.data() + (n * units.channels + c) * units.positions;
      alive = std::any_of(v, v + units.positions, [](real value) { return value != 0; });
    }
    dead += !alive;
  }
  return static_cast<double>(dead) / static_cast<double>(units.channels);
}

// (C, C), row-major, over samples and positions.
std::vector<double> covariance(const Tensor& x, const Units& units) {
  const int64_t channels = units.channels, count = units.samples * units.positions;
  std::vector<double> rows(static_cast<size_t>(x.count()));  // (C, samples * positions), centered
  for (int64_t c = 0; c < channels; ++c) {
    double* row = rows.data() + c * count;
    double mean = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = i / units.positions, p = i % units.positions;
      row[i] = x.data()[(n * channels + c) * units.positions + p];
      mean += row[i] / static_cast<double>(count);
    }
    for (int64_t i = 0; i < count; ++i) row[i] -= mean;
  }
  std::vector<double> result(static_cast<size_t>(channels * channels));
  for (int64_t a = 0; a < channels; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      double sum = 0;
      for (int64_t i = 0; i < count; ++i)
        sum += rows[static_cast<size_t>(a * count + i)] * rows[static_cast<size_t>(b * count + i)];
      result[static_cast<size_t>(a * channels + b)] = result[static_cast<size_t>(b * channels + a)] =
          sum / static_cast<double>(count);
    }
  }
  return result;
}

void measure_condition(LayerProbe& layer, const Tensor& x, bool channels_last) {
  const Units units(x.shape(), channels_last);
  const Tridiagonal t = tridiagonalize(covariance(x, units), units.channels);
  const double largest = t.eigenvalue(units.channels - 1);
  const double rounding = largest * static_cast<double>(units.channels) * 1e-13;
  const int64_t vanishing = t.count_below(rounding);
  layer.input_rank = units.channels - vanishing;
  layer.condition = layer.input_rank > 0 ? std::optional(largest / t.eigenvalue(vanishing)) : std::nullopt;
}

double norm_of(const Tensor& x) {
  double squares = 0;
  for (double v : x.values()) squares += v * v;
  return std::sqrt(squares);
}

// By the chord between the unit vectors, which keeps small angles exact.
double angle_between(const Tensor& a, const Tensor& b) {
  const double length_a = norm_of(a), length_b = norm_of(b);
  double squares = 0;
  for (int64_t i = 0; i < a.count(); ++i) {
    const double d = a.data()[i] / length_a - b.data()[i] / length_b;
    squares += d * d;
  }
  return 2 * std::asin(std::min(1.0, std::sqrt(squares) / 2));
}

Spread gamma_over_sigma(const NormInfo& norm) {
  Spread spread{INFINITY, 0, 0};
  for (int64_t c = 0; c < norm.channels; ++c) {
    const bool scales = norm.weight && !norm.weight->empty();
    const double gamma = scales ? std::abs(double{norm.weight->data()[c]}) : 1;
    const double ratio = gamma / std::sqrt(double{norm.running_var->data()[c]} + norm.eps);
    spread.least = std::min(spread.least, ratio);
    spread.largest = std::max(spread.largest, ratio);
    spread.mean += ratio / static_cast<double>(norm.channels);
  }
  return spread;
}

// Root mean square over channels of f(c).
template <class F>
double root_mean_square(int64_t channels, F f) {
  double squares = 0;
  for (int64_t c = 0; c < channels; ++c) squares += f(c) * f(c);
  return std::sqrt(squares / static_cast<double>(channels));
}

}  // namespace

Probe::Probe(Module& model, ProbeOptions options) : options_(std::move(options)) {
  for_each_module(model, [&](const std::string& path, Module& part) {
    Watched watched = watch(part);
    if (path.empty() && !watched.leaf) return;
    if (!index_.emplace(&part, layers_.size()).second) return;
    layers_.emplace_back();
    layers_.back().path = path;
    layers_.back().layer = part.describe();
    if (watched.leaf && !watched.info.known)
      layers_.back().left_out = fmt::format(
          "{} doesn't override info(): dead units, running statistics and the condition of inputs with more "
          "than "
          "two axes are not measured",
          named(path, part));
    watched_.push_back(std::move(watched));
  });
}

Probe::Watched Probe::watch(Module& part) {
  const OwnParts parts = own_parts(part);
  Watched watched{&part, info_of(part), parts.modules.empty(), nullptr, {}, {}, {}};
  if (!watched.leaf) return watched;
  watched.weight = watched.info.weight;
  for (const Parameter* p : parts.parameters) {
    if (!watched.weight && p->shape().rank() >= 2 && p->decays()) watched.weight = p;
  }
  return watched;
}

void Probe::called(const Module& module, const Tensor& x, const Tensor& y) {
  const auto found = index_.find(&module);
  if (found == index_.end() || !Tape::recording()) return;
  LayerProbe& layer = layers_[found->second];
  layer.output = activation_stats(y, options_.percentiles, scratch_);
  const Watched& watched = watched_[found->second];
  const LayerInfo& info = watched.info;
  if (info.dead_at_zero && y.rank() > 0) layer.dead_units = dead_share(y);
  const bool channels_known = info.known ? x.rank() > 1 : x.rank() == 2;
  if (options_.condition && watched.weight && channels_known)
    measure_condition(layer, x, info.channel_axis == -1);
}

void Probe::step(double lr) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (watched_[i].leaf) step_layer(layers_[i], watched_[i], lr);
  }
}

void Probe::step_layer(LayerProbe& layer, Watched& watched, double lr) {
  double squares = 0;
  bool has_gradient = false;
  for_each_parameter(*watched.module, [&](const std::string&, Parameter& p) {
    const Tensor grad = p.grad();
    if (grad.empty()) return;
    has_gradient = true;
    squares += std::pow(norm_of(grad), 2);
  });
  layer.gradient_norm = has_gradient ? std::optional(std::sqrt(squares)) : std::nullopt;
  if (watched.weight) {
    const Tensor& weight = *watched.weight;
    const double length = norm_of(weight);
    layer.weight_norm = length;
    layer.effective_lr = lr / (length * length);
    if (!watched.last_weight.empty()) layer.angle = angle_between(weight, watched.last_weight);
    watched.last_weight = weight.clone();
  }
  const std::optional<NormInfo>& norm = watched.info.norm;
  if (!norm || !norm->tracks()) return;
  layer.gamma_over_sigma = gamma_over_sigma(*norm);
  const Tensor mean = norm->running_mean->value().clone(), variance = norm->running_var->value().clone();
  if (!watched.mean.empty()) {
    const auto before = [&](int64_t c) { return double{watched.variance.data()[c]} + norm->eps; };
    layer.mean_drift = root_mean_square(norm->channels, [&](int64_t c) {
      return (double{mean.data()[c]} - watched.mean.data()[c]) / std::sqrt(before(c));
    });
    layer.variance_drift = root_mean_square(norm->channels, [&](int64_t c) {
      return (double{variance.data()[c]} - watched.variance.data()[c]) / before(c);
    });
  }
  watched.mean = mean;
  watched.variance = variance;
}

const LayerProbe& Probe::operator[](const std::string& path) const {
  const auto found =
      std::find_if(layers_.begin(), layers_.end(), [&](const LayerProbe& l) { return l.path == path; });
  if (found != layers_.end()) return *found;
  std::vector<std::string> paths;
  for (const LayerProbe& layer : layers_) paths.push_back(layer.path);
  throw ValueError(fmt::format("probe: there is no layer '{}'; there are {}", path, fmt::join(paths, ", ")));
}

}  // namespace ballast::inline BALLAST_PRECISION
