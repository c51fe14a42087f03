#include <ballast/layers/analysis/summary.h>

#include <map>

#include <ballast/core/predict.h>
#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

int64_t count(const std::vector<Parameter*>& parameters) {
  int64_t sum = 0;
  for (const Parameter* p : parameters) sum += p->count();
  return sum;
}

class Recorder : public CallObserver {
 public:
  explicit Recorder(Module& model) { watch("", model); }
  std::vector<LayerSummary> layers;

  void add_layers_not_called() {
    for (const LayerSummary& row : rows_) {
      if (calls_.count(row.module) || row.parameters == 0) continue;
      layers.push_back(row);
      layers.back().multiply_adds.reset();
      layers.back().why = "was not called as a module";
    }
  }

 private:
  // The row of each layer, and of each module that does more than call the modules inside it.
  void watch(const std::string& path, Module& module) {
    const LayerInfo info = info_of(module);
    const OwnParts parts = own_parts(module);
    const bool container = is_container(info, parts);
    if (!container || !parts.parameters.empty()) {
      LayerSummary row{path, module.describe(), &module, {}, {}, count(parts.parameters), info.multiply_adds,
                       ""};
      if (!container && !parts.modules.empty()) row.parameters = parameter_count(module);
      if (!info.multiply_adds) row.why = "its info() gives no multiply_adds";
      if (index_.emplace(&module, rows_.size()).second) rows_.push_back(std::move(row));
    }
    if (!container) return;
    for (const auto& [name, child] : parts.modules) watch(joined(path, name), *child);
  }

  void called(const Module& module, const Tensor& x, const Tensor& y) override {
    const auto found = index_.find(&module);
    if (found == index_.end()) return;
    LayerSummary row = rows_[found->second];
    row.input = x.shape(), row.output = y.shape();
    if (row.multiply_adds) *row.multiply_adds *= y.count();
    if (calls_[&module]++) row.parameters = 0;  // counted with the first call
    layers.push_back(std::move(row));
  }

  std::vector<LayerSummary> rows_;  // in the order of visit
  std::map<const Module*, size_t> index_;
  std::map<const Module*, int> calls_;
};

}  // namespace

ModelSummary summarize(Module& model, const Shape& input) {
  Recorder recorder(model);
  predict(model, zeros(input));
  recorder.add_layers_not_called();
  ModelSummary summary{std::move(recorder.layers), parameter_count(model), 0};
  for (const LayerSummary& layer : summary.layers) {
    if (!layer.multiply_adds) summary.multiply_adds.reset();
    if (summary.multiply_adds) *summary.multiply_adds += *layer.multiply_adds;
  }
  return summary;
}

}  // namespace ballast::inline BALLAST_PRECISION
