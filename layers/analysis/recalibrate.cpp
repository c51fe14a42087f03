#include <ballast/layers/analysis/recalibrate.h>

#include <algorithm>

namespace ballast::inline BALLAST_PRECISION {

Recalibration::Recalibration(Module& model) {
  for_each_module(model, [&](const std::string&, Module& part) {
    const auto norm = dynamic_cast<TrackingNorm*>(&part);
    if (!norm || !norm->options.track_running_stats) return;
    const bool met_before =
        std::any_of(norms_.begin(), norms_.end(), [&](const Norm& n) { return n.layer == norm; });
    if (met_before) return;  // under two names
    norms_.push_back({norm, norm->options.momentum, norm->num_batches_tracked.value,
                      norm->running_mean.value().clone(), norm->running_var.value().clone()});
  });
  check<ValueError>(!norms_.empty(),
                    "recalibrate: the model has no layer with running statistics: nothing to re-estimate");
  for (Norm& norm : norms_) {
    norm.layer->options.momentum = {};
    norm.layer->num_batches_tracked.value = 0;
    // The first batch overwrites with weight 1, but 0 times a NaN would stay one.
    norm.layer->running_mean.assign(zeros(norm.mean.shape()));
    norm.layer->running_var.assign(ones(norm.var.shape()));
  }
}

void Recalibration::Norm::restore() const {
  layer->num_batches_tracked.value = batches;
  layer->running_mean.assign(mean);
  layer->running_var.assign(var);
}

void Recalibration::keep() {
  const auto seen = [](const Norm& norm) { return norm.layer->num_batches_tracked.value > 0; };
  check<ValueError>(std::any_of(norms_.begin(), norms_.end(), seen),
                    "recalibrate: no batch reached a layer whose statistics aren't frozen");
  for (const Norm& norm : norms_) {
    if (!seen(norm)) norm.restore();
    norm.layer->options.momentum = norm.momentum;
  }
  norms_.clear();
}

Recalibration::~Recalibration() {
  for (const Norm& norm : norms_) {
    norm.restore();
    norm.layer->options.momentum = norm.momentum;
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
