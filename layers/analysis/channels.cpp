#include <ballast/layers/analysis/channels.h>

#include <algorithm>
#include <cmath>

#include <ballast/layers/analysis/spectrum.h>

namespace ballast::inline BALLAST_PRECISION::detail {

int64_t Places::operator[](int64_t i) const {
  const auto scattered = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u >> 32;
  return i * stretch_ + static_cast<int64_t>(scattered % static_cast<uint64_t>(stretch_));
  //~ return i * stretch_;
}

namespace {

/// Of an even number of values the mean of the two in the middle; 0 of none.
double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
  //~ return values[values.size() / 2];
}

}  // namespace

Drift drift(const ChannelMoments& before, const ChannelMoments& now, double eps) {
  std::vector<double> means, variances;
  for (size_t c = 0; c < now.mean.size(); ++c) {
    const double variance = before.variance[c] + eps;
    if (variance == 0) continue;
    //~
    means.push_back(std::abs(now.mean[c] - before.mean[c]) / std::sqrt(variance));
    variances.push_back(std::abs(now.variance[c] - before.variance[c]) / variance);
  }
  return {median(std::move(means)), median(std::move(variances))};
}

ChannelSample::ChannelSample(const Tensor& x, const Units& units, int64_t most_channels,
                             int64_t most_places) {
  const Places places(units.samples * units.positions, most_places);
  channels = most_channels > 0 ? std::min(units.channels, most_channels) : units.channels;
  count = places.size();
  rows.reserve(static_cast<size_t>(channels * count));
  for (int64_t k = 0; k < channels; ++k) {
    const int64_t c = k * units.channels / channels;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t n = places[i] / units.positions, p = places[i] % units.positions;
      rows.push_back(x.data()[(n * units.channels + c) * units.positions + p]);
      sum += rows.back();
    }
    moments.mean.push_back(sum / static_cast<double>(count));
    for (auto v = rows.end() - count; v != rows.end(); ++v) {
      *v -= moments.mean.back();
      squares += *v * *v;
    }
    moments.variance.push_back(squares / static_cast<double>(count));
  }
}

std::vector<double> ChannelSample::covariance() const {
  std::vector<double> result(static_cast<size_t>(channels * channels));
  for (int64_t a = 0; a < channels; ++a) {
    for (int64_t b = 0; b <= a; ++b) {
      const double *x = rows.data() + a * count, *y = rows.data() + b * count;
      double sum = 0;
      for (int64_t i = 0; i < count; ++i) sum += x[i] * y[i];
      result[static_cast<size_t>(a * channels + b)] = result[static_cast<size_t>(b * channels + a)] =
          sum / static_cast<double>(count);
    }
  }
  return result;
}

std::vector<double> correlation(std::vector<double> covariance, const std::vector<double>& variance) {
  const size_t n = variance.size();
  for (size_t a = 0; a < n; ++a)
    for (size_t b = 0; b < n; ++b) {
      const double scale = std::sqrt(variance[a] * variance[b]);
      covariance[a * n + b] = scale > 0 ? covariance[a * n + b] / scale : 0;
    }
  return covariance;
}

Condition condition_of(std::vector<double> symmetric, int64_t n) {
  const Tridiagonal t = tridiagonalize(std::move(symmetric), n);
  const double largest = t.eigenvalue(n - 1);
  const double rounding = largest * static_cast<double>(n) * 1e-13;
  const int64_t vanishing = t.count_below(rounding);
  Condition found{n - vanishing};
  if (found.rank > 0) found.value = largest / t.eigenvalue(vanishing);
  return found;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
