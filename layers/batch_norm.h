#pragma once

#include <optional>

#include <ballast/layers/functional/norm.h>
#include <ballast/layers/fusible.h>

namespace ballast::inline BALLAST_PRECISION {

struct BatchNormOptions {
  real eps = real(1e-5);
  /// Weight of the new value in the running statistics (PyTorch's convention), from 0 to 1; nullopt: the mean
  /// over all batches.
  std::optional<double> momentum = 0.1;
  bool affine = true;
  /// Without running statistics, evaluation normalizes by the batch as well.
  bool track_running_stats = true;
};

/// What the batch and instance normalizations of all ranks have in common: weight and bias (C), running_mean
/// and running_var (C), num_batches_tracked.
struct TrackingNorm : Fusible {
  Parameter weight, bias;
  Buffer running_mean, running_var;
  Counter num_batches_tracked;
  BatchNormOptions options;
  int64_t channels;

  void visit(Visitor& v) override {
    v("weight", weight), v("bias", bias), v("running_mean", running_mean), v("running_var", running_var);
    if (options.track_running_stats) v("num_batches_tracked", num_batches_tracked);
    //~
  }
  LayerInfo info() override {
    NormInfo norm{.channels = channels,
                  .weight = &weight,
                  .bias = &bias,
                  .eps = options.eps,
                  .over_batch = true,
                  .over_positions = true};
    if (options.track_running_stats) {
      norm.running_mean = &running_mean, norm.running_var = &running_var;
      norm.num_batches_tracked = &num_batches_tracked, norm.momentum = &options.momentum;
    }
    return {.type = &fused_type(), .multiply_adds = 0, .affine = options.track_running_stats, .norm = norm};
  }

 protected:
  /// Throws ValueError for options or a number of channels out of their range; `name` is the layer's.
  TrackingNorm(const char* name, int64_t size, const BatchNormOptions& o) : options(o), channels(size) {
    detail::check_channels(name, size);
    detail::check_eps(name, o.eps);
    detail::check_momentum(name, o.momentum);
    if (o.affine)
      weight = Parameter(ones({size}), {.decay = false}), bias = Parameter(zeros({size}), {.decay = false});
    if (o.track_running_stats) running_mean = Buffer(zeros({size})), running_var = Buffer(ones({size}));
  }
  RunningStatistics running() {
    if (!options.track_running_stats) return {};
    return {.mean = &running_mean,
            .var = &running_var,
            .batches = &num_batches_tracked,
            //~
            .momentum = options.momentum};
  }
  void check_input(const Tensor& x, bool rank_fits, const char* expected) const {
    check<ShapeError>(rank_fits && x.shape()[1] == channels, "x is {}; it must be {} with C = {}", x.shape(),
                      expected, channels);
  }
};

/// Batch normalization of (N, C) or (N, C, L), per channel over the batch and positions; see `batch_norm`.
struct BatchNorm1d : TrackingNorm {
  explicit BatchNorm1d(int64_t size, const BatchNormOptions& o = {}) : TrackingNorm("BatchNorm1d", size, o) {}
  Tensor forward_then(Tensor x, const Then& then) override {
    check_input(x, x.rank() == 2 || x.rank() == 3, "(N, C) or (N, C, L)");
    return batch_norm(std::move(x), weight, bias, running(), options.eps, then);
  }
  std::string describe() const override { return fmt::format("BatchNorm1d {}", channels); }

 protected:
  const std::type_info& fused_type() const override { return typeid(BatchNorm1d); }
};

/// Batch normalization of (N, C, H, W), per channel over the batch and all pixels; see `batch_norm`.
struct BatchNorm2d : TrackingNorm {
  explicit BatchNorm2d(int64_t size, const BatchNormOptions& o = {}) : TrackingNorm("BatchNorm2d", size, o) {}
  Tensor forward_then(Tensor x, const Then& then) override {
    check_input(x, x.rank() == 4, "(N, C, H, W)");
    return batch_norm(std::move(x), weight, bias, running(), options.eps, then);
  }
  std::string describe() const override { return fmt::format("BatchNorm2d {}", channels); }

 protected:
  const std::type_info& fused_type() const override { return typeid(BatchNorm2d); }
};

}  // namespace ballast::inline BALLAST_PRECISION
