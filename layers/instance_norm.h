#pragma once

#include <ballast/layers/batch_norm.h>

namespace ballast::inline BALLAST_PRECISION {

struct InstanceNormOptions {
  real eps = real(1e-5);
  std::optional<double> momentum = 0.1;
  bool affine = false;
  bool track_running_stats = false;
};

/// Instance normalization of (N, C, H, W), per sample and channel over all pixels; see `instance_norm`. No
/// parameters and no running statistics unless asked for, as in PyTorch.
struct InstanceNorm2d : TrackingNorm {
  explicit InstanceNorm2d(int64_t size, const InstanceNormOptions& o = {})
      : TrackingNorm(size, {.eps = o.eps,
                            .momentum = o.momentum,
                            .affine = o.affine,
                            .track_running_stats = o.track_running_stats}) {}
  Tensor forward(Tensor x) override {
    check_input(x, x.rank() == 4, "(N, C, H, W)");
    return instance_norm(std::move(x), weight, bias, running(), options.eps);
  }
  std::string describe() const override { return fmt::format("InstanceNorm2d {}", channels); }
};

}  // namespace ballast::inline BALLAST_PRECISION
