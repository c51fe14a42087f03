#include <ballast/layers/analysis/probe.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/tape.h>
#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

void add_percentiles(ActivationStats& stats, const ProbeOptions& options, std::vector<real>& finite) {
  const double n = static_cast<double>(finite.size());
  for (double percent : options.percentiles) {
    const double rank = std::ceil(percent * n / 100) - 1;
    const auto place = finite.begin() + static_cast<std::ptrdiff_t>(std::clamp(rank, 0.0, n - 1));
    std::nth_element(finite.begin(), place, finite.end());
    stats.percentiles.push_back(*place);
  }
}

void add_histogram(ActivationStats& stats, int64_t bins, const std::vector<real>& finite) {
  const double low = stats.percentiles.front(), high = stats.percentiles.back();
  stats.histogram.assign(static_cast<size_t>(bins), 0);
  const double scale = high > low ? static_cast<double>(bins) / (high - low) : 0;
  for (double v : finite) {
    if (v < low || v > high) continue;
    const auto bin = std::min(static_cast<int64_t>((v - low) * scale), bins - 1);
    ++stats.histogram[static_cast<size_t>(bin)];
  }
}

void measure_activity(LayerProbe& layer, const Tensor& y) {
  const Units units(y.shape(), false);
  int64_t dead = 0, half = 0;
  for (int64_t c = 0; c < units.channels; ++c) {
    int64_t active = 0;
    for (int64_t n = 0; n < units.samples; ++n) {
      const real* v = y.data() + (n * units.channels + c) * units.positions;
      for (int64_t p = 0; p < units.positions; ++p) active += v[p] != 0;
    }
    const int64_t all = units.samples * units.positions;
    dead += active == 0;
    half += 4 * active >= all && 4 * active <= 3 * all;
  }
  layer.dead_units = static_cast<double>(dead) / static_cast<double>(units.channels);
  layer.half_active_units = static_cast<double>(half) / static_cast<double>(units.channels);
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

}  // namespace

ActivationStats Probe::stats_of(const Tensor& values) {
  ActivationStats stats;
  const Places places(values.count(), options_.most_values);
  stats.count = places.size();
  std::vector<real>& finite = scratch_;
  finite.clear();
  for (int64_t i = 0; i < stats.count; ++i)
    if (const real v = values.data()[places[i]]; std::isfinite(v)) finite.push_back(v);
  stats.not_finite = stats.count - static_cast<int64_t>(finite.size());
  if (finite.empty()) return stats;
  const double n = static_cast<double>(finite.size());
  for (double v : finite) stats.mean += v / n;
  for (double v : finite) stats.variance += (v - stats.mean) * (v - stats.mean) / n;
  add_percentiles(stats, options_, finite);
  if (options_.bins > 0 && !stats.percentiles.empty()) add_histogram(stats, options_.bins, finite);
  return stats;
}

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
  Watched& watched = watched_[found->second];
  const LayerInfo& info = watched.info;
  layer.output = stats_of(y);
  if (info.dead_at_zero && y.rank() > 0) measure_activity(layer, y);
  if (watched.weight) layer.input = stats_of(x);
  const bool channels_known = info.known ? x.rank() > 1 : x.rank() == 2;
  if (options_.condition && (watched.weight || info.norm) && channels_known) measure_input(layer, watched, x);
}

void Probe::measure_input(LayerProbe& layer, Watched& watched, const Tensor& x) const {
  const Units units(x.shape(), watched.info.channel_axis == -1);
  const ChannelSample sample(x, units, options_.most_channels, options_.most_values);
  const std::vector<double> covariance = sample.covariance();
  const Condition found = condition_of(covariance, sample.channels);
  layer.condition = found.value;
  layer.input_rank = found.rank;
  layer.correlation_condition =
      condition_of(correlation(covariance, sample.moments.variance), sample.channels).value;
  double deviations = 0;
  for (const double variance : sample.moments.variance) deviations += std::sqrt(variance);
  //~ for (const double variance : sample.moments.variance) deviations += variance;
  layer.input_spread = deviations / static_cast<double>(sample.channels);
  if (!watched.input.mean.empty()) {
    const Drift found_drift = drift(watched.input, sample.moments);
    layer.input_mean_drift = found_drift.mean;
    layer.input_variance_drift = found_drift.variance;
  }
  watched.input = sample.moments;
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
    const Tensor gradient = watched.weight->grad();
    layer.gradient = gradient.empty() ? ActivationStats() : stats_of(gradient);
    const double length = norm_of(weight);
    layer.weight_norm = length;
    layer.effective_lr = lr / (length * length);
    if (!watched.last_weight.empty()) layer.angle = angle_between(weight, watched.last_weight);
    watched.last_weight = weight.clone();
  }
  const std::optional<NormInfo>& norm = watched.info.norm;
  if (!norm || !norm->tracks()) return;
  layer.gamma_over_sigma = gamma_over_sigma(*norm);
  const auto doubles = [](const Buffer& b) {
    return std::vector<double>(b.value().values().begin(), b.value().values().end());
  };
  ChannelMoments running{doubles(*norm->running_mean), doubles(*norm->running_var)};
  if (!watched.running.mean.empty()) {
    const Drift found = drift(watched.running, running, norm->eps);
    layer.mean_drift = found.mean;
    layer.variance_drift = found.variance;
  }
  watched.running = std::move(running);
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
