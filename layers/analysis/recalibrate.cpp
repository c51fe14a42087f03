#include <ballast/layers/analysis/recalibrate.h>

#include <algorithm>

#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

Recalibration::Recalibration(Module& model) {
  collect("", model);
  check<ValueError>(
      !norms_.empty(),
      "recalibrate: the model has no layer with running statistics that aren't frozen: nothing to "
      "re-estimate");
  for (const Norm& norm : norms_) {
    norm.info.momentum->reset();
    norm.info.num_batches_tracked->value = 0;
    // The first batch overwrites with weight 1, but 0 times a NaN would stay one.
    norm.info.running_mean->assign(zeros(norm.mean.shape()));
    norm.info.running_var->assign(ones(norm.var.shape()));
  }
}

void Recalibration::collect(const std::string& path, Module& module) {
  if (module.frozen.statistics || module.frozen.mode) return;  // and all it calls
  const LayerInfo info = info_of(module);
  const OwnParts parts = own_parts(module);
  check<ValueError>(info.known || parts.buffers.empty(),
                    "recalibrate: {} keeps buffers and doesn't say what for; override info(), naming running "
                    "statistics if it has any",
                    named(path, module));
  for (const auto& [name, child] : parts.modules) collect(joined(path, name), *child);
  if (!info.norm || !info.norm->tracks()) return;
  const NormInfo& norm = *info.norm;
  check<ValueError>(norm.momentum && norm.num_batches_tracked,
                    "recalibrate: {} has running statistics, but its info() names no momentum or "
                    "num_batches_tracked to average them by",
                    named(path, module));
  const bool met_before = std::any_of(
      norms_.begin(), norms_.end(), [&](const Norm& n) { return n.info.running_mean == norm.running_mean; });
  if (met_before) return;  // under two names
  norms_.push_back({norm, *norm.momentum, norm.num_batches_tracked->value, norm.running_mean->value().clone(),
                    norm.running_var->value().clone()});
}

void Recalibration::Norm::restore() const {
  info.num_batches_tracked->value = batches;
  info.running_mean->assign(mean);
  info.running_var->assign(var);
}

void Recalibration::keep() {
  const auto seen = [](const Norm& norm) { return norm.info.num_batches_tracked->value > 0; };
  check<ValueError>(std::any_of(norms_.begin(), norms_.end(), seen),
                    "recalibrate: no batch reached a layer whose statistics aren't frozen");
  for (const Norm& norm : norms_) {
    if (!seen(norm)) norm.restore();
    *norm.info.momentum = norm.momentum;
  }
  norms_.clear();
}

Recalibration::~Recalibration() {
  for (const Norm& norm : norms_) {
    norm.restore();
    *norm.info.momentum = norm.momentum;
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
