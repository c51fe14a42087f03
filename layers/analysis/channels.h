#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ballast/core/parallel.h>
#include <ballast/core/tensor.h>

// Statistics of the channels of a tensor, for probes.
namespace ballast::inline BALLAST_PRECISION::detail {

/// At most `most` of the numbers 0 ... count-1, or all of them: one of each of as many equal stretches, which
/// its number scatters, so that the places don't keep step with rows or channels.
class Places {
 public:
  Places(int64_t count, int64_t most) : stretch_(most > 0 ? divide_up(count, most) : 1), count_(count) {}
  int64_t size() const { return count_ / stretch_; }
  int64_t operator[](int64_t i) const;

 private:
  int64_t stretch_, count_;
};

// (N, C, ...), or (..., C) with channels last, as samples x channels x positions.
struct Units {
  int64_t samples, channels, positions;
  Units(const Shape& shape, bool channels_last) {
    const int axis = channels_last ? shape.rank() - 1 : std::min(1, shape.rank() - 1);
    samples = shape.count(0, axis), channels = shape[axis], positions = shape.count(axis + 1, shape.rank());
  }
};

/// Mean and biased variance of each channel.
struct ChannelMoments {
  std::vector<double> mean, variance;
};

/// What has changed, the median over channels: of means in standard deviations before, of variances as a
/// share of those before; 0 if there is none. Channels that were constant are left out. A mean over channels
/// would be that of a few that are nearly constant.
struct Drift {
  double mean, variance;
};
Drift drift(const ChannelMoments& before, const ChannelMoments& now, double eps = 0);

/// Some channels of a tensor in some places, each row a channel, centered.
struct ChannelSample {
  int64_t channels, count;
  std::vector<double> rows;
  ChannelMoments moments;

  /// At most so many of them, unless that is 0.
  ChannelSample(const Tensor& x, const Units& units, int64_t most_channels, int64_t most_places);
  /// (channels, channels), row-major.
  std::vector<double> covariance() const;
};

/// Of a covariance. A constant channel is correlated with nothing.
std::vector<double> correlation(std::vector<double> covariance, const std::vector<double>& variance);

/// The eigenvalues that aren't rounding: how many, and the largest by the smallest.
struct Condition {
  int64_t rank;
  std::optional<double> value = {};
};
Condition condition_of(std::vector<double> symmetric, int64_t n);

}  // namespace ballast::inline BALLAST_PRECISION::detail
