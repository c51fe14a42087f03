#include <ballast/layers/analysis/fold.h>

#include <cmath>
#include <map>
#include <optional>

#include <ballast/layers/sequential.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// weight is (out, ...): row `out` gives output channel `out`.
void fold_rows(Parameter& weight, Parameter& bias, TrackingNorm& norm) {
  check<UsageError>(norm.options.track_running_stats,
                    "fold: {} keeps no running statistics: it normalizes by the batch in evaluation too",
                    norm.describe());
  const int64_t channels = weight.shape()[0], length = weight.count() / channels;
  check<ShapeError>(channels == norm.channels, "fold: {} behind a layer with {} outputs", norm.describe(),
                    channels);
  Tensor w = weight.value().clone(), b = bias.empty() ? zeros({channels}) : bias.value().clone();
  for (int64_t c = 0; c < channels; ++c) {
    const double gain = norm.weight.empty() ? 1 : norm.weight.data()[c];
    const double shift = norm.bias.empty() ? 0 : norm.bias.data()[c];
    const double scale =
        gain / std::sqrt(double{norm.running_var.data()[c]} + static_cast<double>(norm.options.eps));
    real* row = w.data() + c * length;
    for (int64_t i = 0; i < length; ++i) row[i] = static_cast<real>(scale * row[i]);
    b.data()[c] = static_cast<real>(scale * (double{b.data()[c]} - norm.running_mean.data()[c]) + shift);
  }
  weight.assign(w);
  if (bias.empty()) {
    bias = Parameter(b, {.decay = false});
  } else {
    bias.assign(b);
  }
}

void make_identity(TrackingNorm& norm) {
  const Shape shape{norm.channels};
  norm.running_mean.assign(zeros(shape));
  norm.running_var.assign(full(shape, 1 - norm.options.eps));
  if (!norm.weight.empty()) norm.weight.assign(ones(shape)), norm.bias.assign(zeros(shape));
}

template <class Layer>
void fold_layer(Layer& layer, TrackingNorm& norm) {
  fold_rows(layer.weight, layer.bias, norm);
  make_identity(norm);
}

class Folder : public Visitor {
 public:
  FoldReport operator()(Module& model) {
    for_each_module(model, [&](const std::string& path, Module& part) { paths_.emplace(&part, path); });
    for_each_parameter(model, [&](const std::string&, Parameter& p) { ++uses_[p.value().storage().get()]; });
    module("", model);
    return std::move(report_);
  }

 private:
  // A Sequential folds what it holds before anything below is visited.
  void module(const std::string&, Module& part) override {
    if (const auto sequence = dynamic_cast<Sequential*>(&part)) fold_in(*sequence);
    if (const auto norm = dynamic_cast<TrackingNorm*>(&part)) {
      const auto found = reasons_.find(norm);
      report_.kept.push_back(
          {paths_[norm], found != reasons_.end()
                             ? found->second
                             : "held by a module that isn't a Sequential; fold(layer, norm)"});
    }
    enter(part);
  }

  void fold_in(Sequential& sequence) {
    Module* before = nullptr;
    for (size_t i = 0; i < sequence.size();) {
      Module* layer = &sequence[i];
      const auto norm = dynamic_cast<TrackingNorm*>(layer);
      if (norm && fold_into(before, *norm)) {
        sequence.erase(i);
      } else {
        before = layer;
        ++i;
      }
    }
  }

  bool fold_into(Module* before, TrackingNorm& norm) {
    const std::optional<std::string> reason = obstacle(before, norm);
    if (reason) {
      reasons_[&norm] = *reason;
      return false;
    }
    if (const auto linear = dynamic_cast<Linear*>(before)) fold(*linear, norm);
    if (const auto conv = dynamic_cast<Conv1d*>(before)) fold(*conv, norm);
    if (const auto conv = dynamic_cast<Conv2d*>(before)) fold(*conv, norm);
    report_.folded.push_back({paths_[&norm], paths_[before]});
    return true;
  }

  std::optional<std::string> obstacle(Module* before, const TrackingNorm& norm) {
    if (!norm.options.track_running_stats) return "keeps no running statistics";
    if (!before) return "first in its Sequential";
    Parameter* weight = nullptr;
    if (const auto linear = dynamic_cast<Linear*>(before)) weight = &linear->weight;
    if (const auto conv = dynamic_cast<Conv1d*>(before)) weight = &conv->weight;
    if (const auto conv = dynamic_cast<Conv2d*>(before)) weight = &conv->weight;
    if (!weight) return fmt::format("stands behind {}, not a Linear or Conv", before->describe());
    if (uses_[weight->value().storage().get()] > 1)
      return fmt::format("{} shares its weight with another layer", before->describe());
    if (weight->shape()[0] != norm.channels)
      return fmt::format("{} doesn't give {} channels", before->describe(), norm.channels);
    return {};
  }

  std::map<const Module*, std::string> paths_;
  std::map<const Storage*, int> uses_;
  std::map<const Module*, std::string> reasons_;
  FoldReport report_;
};

}  // namespace

void fold(Linear& layer, TrackingNorm& norm) { fold_layer(layer, norm); }
void fold(Conv1d& layer, TrackingNorm& norm) { fold_layer(layer, norm); }
void fold(Conv2d& layer, TrackingNorm& norm) { fold_layer(layer, norm); }

FoldReport fold(Module& model) { return Folder()(model); }

}  // namespace ballast::inline BALLAST_PRECISION
