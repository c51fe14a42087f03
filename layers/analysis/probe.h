#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/layers/analysis/channels.h>

namespace ballast::inline BALLAST_PRECISION {

struct ProbeOptions {
  std::vector<double> percentiles = {1, 25, 50, 75, 99};
  /// Bins of a histogram from the first to the last of the percentiles; 0: none.
  int64_t bins = 0;
  /// Statistics are those of at most so many values of a tensor, from all over it; 0: of all. Always the same
  /// places are looked at.
  int64_t most_values = 0;
  /// Measure the condition number of layers' inputs, and how these drift: slow, the cube of the number of
  /// channels. Of more channels than `most_channels` so many are looked at, evenly spaced (0: all), in at
  /// most `most_values` places. The condition number of some channels is at most that of all (Cauchy's
  /// interlacing theorem).
  bool condition = false;
  int64_t most_channels = 0;
};

/// Values of a tensor.
struct ActivationStats {
  int64_t count = 0, not_finite = 0;  // the others are left out below
  double mean = 0, variance = 0;      // biased
  std::vector<double> percentiles;    // those of ProbeOptions, by nearest rank
  std::vector<int64_t> histogram;     // of bins of equal width from the first percentile to the last
};

struct Spread {
  double least, mean, largest;
};

/// What is known of a layer; what doesn't apply to it is empty.
struct LayerProbe {
  std::string path, layer;
  /// What couldn't be measured since the layer doesn't override `info`; empty: nothing was left out.
  std::string left_out;
  // From its last call while a tape recorded:
  ActivationStats output;
  ActivationStats input;  // of layers with a weight
  // ReLU (LayerInfo::dead_at_zero): share of units, which are channels of an image, that were 0 for all
  // samples, and of those that were not 0 for a quarter to three quarters of them and of the positions.
  std::optional<double> dead_units, half_active_units;
  // Of the inputs of layers with a weight and of norms: the largest eigenvalue of the covariance over
  // channels by the smallest; and of the correlation, which is the covariance of what batch norm makes of the
  // inputs.
  std::optional<double> condition, correlation_condition;
  int64_t input_rank = 0;  // number of eigenvalues of the covariance above rounding; the others are left out
  // Standard deviation of an input's channel over samples and positions, mean over channels: how far a layer
  // can tell samples apart. Differences between channels, which `input.variance` contains, don't count.
  std::optional<double> input_spread;
  // Change of the inputs' mean and variance since the last call, as below; of the same batch it is what the
  // layers before have changed, "internal covariate shift" (Ioffe & Szegedy 2015, arXiv:1502.03167).
  std::optional<double> input_mean_drift, input_variance_drift;
  // From `step`:
  std::optional<double> gradient_norm, weight_norm;  // of all its parameters; of its weight
  ActivationStats gradient;                          // of its weight
  std::optional<double> effective_lr;                // lr / |w|^2 (van Laarhoven 2017)
  std::optional<double> angle;                       // radians the weight has turned since the last `step`
  std::optional<Spread> gamma_over_sigma;            // |weight| / sqrt(running_var + eps) over channels
  // Change of the running statistics since the last `step`, median over channels: of the mean in standard
  // deviations, and of the variance as a share of it.
  std::optional<double> mean_drift, variance_drift;
};

/// Watches the layers of a model while it is trained, from construction to destruction, on this thread:
///
///     Probe probe(model);
///     ... tape.backward(loss); probe.step(optimizer.lr()); optimizer.step(); ...
///
/// It only reads: training continues bit-identically. It reports layers that are called as modules, without
/// those that call the layers inside them; values from `step` exist for layers without layers inside only.
/// While it isn't paused, layers don't fuse nor work in their inputs' memory. The model must outlive the
/// probe and must not be moved.
class Probe : public CallObserver {
 public:
  explicit Probe(Module& model, ProbeOptions options = {});

  /// Takes in gradients, weights and running statistics: call it between `backward` and the optimizer's step.
  void step(double lr);
  /// In the order of `visit`.
  const std::vector<LayerProbe>& layers() const { return layers_; }
  /// The layer of that path; throws ValueError, listing all, when there is none.
  const LayerProbe& operator[](const std::string& path) const;

 private:
  struct Watched {
    Module* module;
    LayerInfo info;
    bool leaf;                // has no layers inside
    const Parameter* weight;  // the matrix or kernel of a leaf, if it has one
    Tensor last_weight;       // at the last step
    detail::ChannelMoments running,
        input;  // of a norm's running statistics at the last step; at the last call
  };
  static Watched watch(Module& part);
  void called(const Module& module, const Tensor& x, const Tensor& y) override;
  ActivationStats stats_of(const Tensor& values);
  void measure_input(LayerProbe& layer, Watched& watched, const Tensor& x) const;
  void step_layer(LayerProbe& layer, Watched& watched, double lr);

  ProbeOptions options_;
  std::vector<LayerProbe> layers_;
  std::vector<Watched> watched_;  // of the same order
  std::map<const Module*, size_t> index_;
  std::vector<real> scratch_;
};

}  // namespace ballast::inline BALLAST_PRECISION
