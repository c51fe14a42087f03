#pragma once

#include <ballast/layers/functional/norm.h>
#include <ballast/layers/fusible.h>

namespace ballast::inline BALLAST_PRECISION {

struct GroupNormOptions {
  real eps = real(1e-5);
  bool affine = true;
};

/// Group normalization of (N, C, ...), per sample over `groups` groups of channels; see `group_norm`. weight
/// and bias are (C).
struct GroupNorm : Fusible {
  Parameter weight, bias;
  int64_t groups, channels;
  real eps;

  GroupNorm(int64_t number_of_groups, int64_t size, const GroupNormOptions& o = {})
      : groups(number_of_groups), channels(size), eps(o.eps) {
    detail::check_channels("GroupNorm", size);
    detail::check_eps("GroupNorm", o.eps);
    check<ValueError>(groups >= 1 && size % groups == 0,
                      "GroupNorm: {} channels can't be split into {} groups", size, groups);
    if (o.affine)
      weight = Parameter(ones({size}), {.decay = false}), bias = Parameter(zeros({size}), {.decay = false});
  }

  Tensor forward_then(Tensor x, const Then& then) override {
    check<ShapeError>(x.rank() >= 2 && x.shape()[1] == channels,
                      "x is {}; it must be (N, C, ...) with C = {}", x.shape(), channels);
    return group_norm(std::move(x), groups, weight, bias, eps, then);
    //~ return group_norm(std::move(x), 1, weight, bias, eps, then);
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    return {.type = &typeid(GroupNorm),
            .multiply_adds = 0,
            .norm = NormInfo{.channels = channels,
                             .weight = &weight,
                             .bias = &bias,
                             .eps = eps,
                             .over_positions = true,
                             .channels_together = channels / groups}};
  }
  std::string describe() const override {
    return fmt::format("GroupNorm {} groups of {}", groups, channels / groups);
  }

 protected:
  const std::type_info& fused_type() const override { return typeid(GroupNorm); }
};

}  // namespace ballast::inline BALLAST_PRECISION
