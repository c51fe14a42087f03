#pragma once

#include <ballast/layers/functional/norm.h>
#include <ballast/layers/fusible.h>

namespace ballast::inline BALLAST_PRECISION {

struct RMSNormOptions {
  /// Under the root; PyTorch's default, 1.2e-7 for float and 2.2e-16 for double.
  real eps = std::numeric_limits<real>::epsilon();
  bool affine = true;
};

/// Root mean square normalization over the last axes, whose sizes are `shape`; see `rms_norm`. weight has
/// that shape; there is no bias.
struct RMSNorm : Fusible {
  Parameter weight;
  Shape shape;
  real eps;

  explicit RMSNorm(const Shape& sizes, const RMSNormOptions& o = {}) : shape(sizes), eps(o.eps) {
    check<ValueError>(sizes.rank() >= 1 && sizes.count() >= 1,
                      "RMSNorm: the shape is {}; it must have an axis, and each at least 1", sizes);
    detail::check_eps("RMSNorm", o.eps);
    if (o.affine) weight = Parameter(ones(sizes), {.decay = false});
  }
  explicit RMSNorm(int64_t size, const RMSNormOptions& o = {}) : RMSNorm(Shape{size}, o) {}

  Tensor forward_then(Tensor x, const Then& then) override {
    const int first = x.rank() - shape.rank();
    check<ShapeError>(first >= 0 && Shape(x.shape().begin() + first, shape.rank()) == shape,
                      "x is {}; its last axes must be {}", x.shape(), shape);
    return rms_norm(std::move(x), shape.rank(), weight, eps, then);
  }
  void visit(Visitor& v) override { v("weight", weight); }
  LayerInfo info() override {
    return {.type = &typeid(RMSNorm),
            .multiply_adds = 0,
            .channel_axis = -1,
            .norm = NormInfo{.channels = shape.count(),
                             .weight = &weight,
                             .eps = eps,
                             .channels_together = shape.count(),
                             .subtracts_mean = false}};
  }
  std::string describe() const override { return fmt::format("RMSNorm {}", shape); }

 protected:
  bool can_fuse(const Then& then) const override { return !then.max_pool || shape.rank() >= 2; }
  const std::type_info& fused_type() const override { return typeid(RMSNorm); }
};

}  // namespace ballast::inline BALLAST_PRECISION
