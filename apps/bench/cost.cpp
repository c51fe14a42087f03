#include "cost.h"

#include <algorithm>

namespace bench {
using namespace ballast;
namespace {

/// Adds up what the layers called do on one sample.
class Counter : public CallObserver {
 public:
  explicit Counter(int64_t batch) : batch_(static_cast<double>(batch)) {}

  double forward_flops() const { return flops_; }
  double first_layer_flops() const { return first_flops_; }
  double activation_bytes() const { return bytes_; }

 private:
  void called(const Module& module, const Tensor& x, const Tensor& y) override {
    if (const auto linear = dynamic_cast<const Linear*>(&module)) {
      product(linear->weight.count(), x);
    } else if (const auto conv = dynamic_cast<const Conv2d*>(&module)) {
      product(conv->weight.count() * y.size(2) * y.size(3), x);
    } else if (dynamic_cast<const TrackingNorm*>(&module) || dynamic_cast<const GroupNorm*>(&module) ||
               dynamic_cast<const LayerNorm*>(&module)) {
      pass(x, 5);
    }
  }

  void product(int64_t multiplications, const Tensor& x) {
    const double flops = 2 * batch_ * static_cast<double>(multiplications);
    if (flops_ == 0) first_flops_ = flops;
    flops_ += flops;
    pass(x, 2);
  }

  void pass(const Tensor& x, int times) {
    const double bytes = batch_ * sizeof(real) * static_cast<double>(x.count());
    if (bytes >= 1e6) bytes_ += times * bytes;
  }

  double batch_, flops_ = 0, first_flops_ = 0, bytes_ = 0;
};

double parameter_bytes(Module& net) { return sizeof(real) * static_cast<double>(parameter_count(net)); }

}  // namespace

Cost training_cost(Module& net, const Shape& batch, int parameter_passes) {
  const Counter count(batch[0]);
  predict(net, zeros(batch.with(0, 1)));
  const double parameters = parameter_bytes(net);
  return {.flops = 3 * count.forward_flops() - count.first_layer_flops(),
          .bytes = count.activation_bytes() + (parameters >= 1e6 ? parameter_passes * parameters : 0)};
}

Cost inference_cost(Module& net, const Shape& batch) {
  const Counter count(batch[0]);
  predict(net, zeros(batch.with(0, 1)));
  return {.flops = count.forward_flops(), .bytes = parameter_bytes(net)};
}

}  // namespace bench
