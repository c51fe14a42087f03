#pragma once

#include <ballast/layers/functional/norm.h>
#include <ballast/layers/fusible.h>

namespace ballast::inline BALLAST_PRECISION {

struct LayerNormOptions {
  real eps = real(1e-5);
  bool affine = true;
};

/// Layer normalization over the last axes, whose sizes are `shape`; see `layer_norm`. weight and bias have
/// that shape.
struct LayerNorm : Fusible {
  Parameter weight, bias;
  Shape shape;
  real eps;

  explicit LayerNorm(const Shape& sizes, const LayerNormOptions& o = {}) : shape(sizes), eps(o.eps) {
    check<ValueError>(sizes.rank() >= 1 && sizes.count() >= 1,
                      "LayerNorm: the shape is {}; it must have an axis, and each at least 1", sizes);
    detail::check_eps("LayerNorm", o.eps);
    if (o.affine)
      weight = Parameter(ones(sizes), {.decay = false}), bias = Parameter(zeros(sizes), {.decay = false});
  }
  explicit LayerNorm(int64_t size, const LayerNormOptions& o = {}) : LayerNorm(Shape{size}, o) {}

  Tensor forward_then(Tensor x, const Then& then) override {
    const int first = x.rank() - shape.rank();
    check<ShapeError>(first >= 0 && Shape(x.shape().begin() + first, shape.rank()) == shape,
                      "x is {}; its last axes must be {}", x.shape(), shape);
    return layer_norm(std::move(x), shape.rank(), weight, bias, eps, then);
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    return {.type = &typeid(LayerNorm),
            .multiply_adds = 0,
            .channel_axis = -1,
            .norm = NormInfo{.channels = shape.count(),
                             .weight = &weight,
                             .bias = &bias,
                             .eps = eps,
                             .channels_together = shape.count()}};
  }
  std::string describe() const override { return fmt::format("LayerNorm {}", shape); }

 protected:
  bool can_fuse(const Then& then) const override { return !then.max_pool || shape.rank() >= 2; }
  const std::type_info& fused_type() const override { return typeid(LayerNorm); }
};

}  // namespace ballast::inline BALLAST_PRECISION
