#pragma once

#include <ballast/layers/functional/linear.h>
#include <ballast/layers/fusible.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

struct LinearOptions {
  bool bias = true;
};

/// y = x W^T + b: (..., in) -> (..., out). W (out, in) and b start from U(+-1/sqrt(in)), PyTorch's default.
struct Linear : Fusible {
  Parameter weight, bias;

  Linear(int64_t in, int64_t out, const LinearOptions& options = {}) : weight(Tensor(Shape{out, in})) {
    if (options.bias) bias = Parameter(Tensor(Shape{out}), {.decay = false});
    fan_in_uniform(weight, bias);
  }

  Tensor forward_then(Tensor x, const Then& then) override {
    return linear(std::move(x), weight, bias, then);
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  LayerInfo info() override {
    return {.type = &typeid(Linear),
            .multiply_adds = weight.shape()[1],
            .affine = true,
            .weight = &weight,
            .bias = &bias,
            .channel_axis = -1,
            .positions = LayerInfo::Positions::one};
  }
  std::string describe() const override {
    return fmt::format("Linear {} -> {}", weight.shape()[1], weight.shape()[0]);
  }

 protected:
  bool can_fuse(const Then& then) const override { return !then.max_pool; }
  const std::type_info& fused_type() const override { return typeid(Linear); }
};

}  // namespace ballast::inline BALLAST_PRECISION
