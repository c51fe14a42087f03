#pragma once

#include <ballast/layers/batch_norm.h>

namespace ballast::inline BALLAST_PRECISION {

struct InstanceNormOptions {
  real eps = real(1e-5);
  std::optional<double> momentum = 0.1;
  bool affine = false;
  bool track_running_stats = false;
};

/// What the instance normalizations of all ranks have in common. No parameters and no running statistics
/// unless asked for, as in PyTorch.
struct InstanceNorm : TrackingNorm {
  Tensor forward_then(Tensor x, const Then& then) override {
    check_input(x, x.rank() == rank_, rank_ == 3 ? "(N, C, L)" : "(N, C, H, W)");
    return instance_norm(std::move(x), weight, bias, running(), options.eps, then);
  }
  LayerInfo info() override {
    LayerInfo found = TrackingNorm::info();
    found.norm->over_batch = false;
    return found;
  }
  std::string describe() const override { return fmt::format("InstanceNorm{}d {}", rank_ - 2, channels); }

 protected:
  InstanceNorm(int rank, int64_t size, const InstanceNormOptions& o)
      : TrackingNorm(rank == 3 ? "InstanceNorm1d" : "InstanceNorm2d", size,
                     {.eps = o.eps,
                      .momentum = o.momentum,
                      .affine = o.affine,
                      .track_running_stats = o.track_running_stats}),
        rank_(rank) {}

 private:
  int rank_;
};

/// Instance normalization of (N, C, L), per sample and channel over all positions; see `instance_norm`.
struct InstanceNorm1d : InstanceNorm {
  explicit InstanceNorm1d(int64_t size, const InstanceNormOptions& o = {}) : InstanceNorm(3, size, o) {}

 protected:
  const std::type_info& fused_type() const override { return typeid(InstanceNorm1d); }
};

/// Instance normalization of (N, C, H, W), per sample and channel over all pixels; see `instance_norm`.
struct InstanceNorm2d : InstanceNorm {
  explicit InstanceNorm2d(int64_t size, const InstanceNormOptions& o = {}) : InstanceNorm(4, size, o) {}

 protected:
  const std::type_info& fused_type() const override { return typeid(InstanceNorm2d); }
};

}  // namespace ballast::inline BALLAST_PRECISION
