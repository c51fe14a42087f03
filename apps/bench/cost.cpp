#include "cost.h"

namespace bench {
using namespace ballast;
namespace {

/// What the layers called do, for a batch of this shape.
struct Work {
  double forward_flops = 0, first_layer_flops = 0, activation_bytes = 0;
};

Work work_of(Module& net, const Shape& batch) {
  Work work;
  const double samples = static_cast<double>(batch[0]);
  for (const LayerSummary& layer : summarize(net, batch.with(0, 1)).layers) {
    check<ValueError>(layer.multiply_adds.has_value(), "{} ({}): its multiply-adds aren't known: {}",
                      layer.path, layer.layer, layer.why);
    const double flops = 2 * samples * static_cast<double>(*layer.multiply_adds);
    if (work.forward_flops == 0) work.first_layer_flops = flops;
    work.forward_flops += flops;
    const int times = flops > 0 ? 2 : layer.module->info().norm ? 5 : 0;
    const double bytes = samples * sizeof(real) * static_cast<double>(layer.input.count());
    if (bytes >= 1e6) work.activation_bytes += times * bytes;
  }
  return work;
}

double parameter_bytes(Module& net) { return sizeof(real) * static_cast<double>(parameter_count(net)); }

}  // namespace

Cost training_cost(Module& net, const Shape& batch, int parameter_passes) {
  const Work work = work_of(net, batch);
  const double parameters = parameter_bytes(net);
  return {.flops = 3 * work.forward_flops - work.first_layer_flops,
          .bytes = work.activation_bytes + (parameters >= 1e6 ? parameter_passes * parameters : 0)};
}

Cost inference_cost(Module& net, const Shape& batch) {
  return {.flops = work_of(net, batch).forward_flops, .bytes = parameter_bytes(net)};
}

}  // namespace bench
