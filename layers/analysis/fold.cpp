#include <ballast/layers/analysis/fold.h>

#include <cmath>
#include <map>

#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

bool present(const Parameter* parameter) { return parameter && !parameter->empty(); }

// Row o of the weight gives output channel o.
void fold_rows(Parameter& weight, Parameter& bias, const NormInfo& norm) {
  const int64_t channels = norm.channels, length = weight.count() / channels;
  Tensor w = weight.value().clone(), b = bias.empty() ? zeros({channels}) : bias.value().clone();
  for (int64_t c = 0; c < channels; ++c) {
    const double gain = present(norm.weight) ? norm.weight->data()[c] : 1;
    const double shift = present(norm.bias) ? norm.bias->data()[c] : 0;
    const double scale = gain / std::sqrt(double{norm.running_var->data()[c]} + norm.eps);
    real* row = w.data() + c * length;
    for (int64_t i = 0; i < length; ++i) row[i] = static_cast<real>(scale * row[i]);
    b.data()[c] = static_cast<real>(scale * (double{b.data()[c]} - norm.running_mean->data()[c]) + shift);
  }
  weight.assign(w);
  if (bias.empty()) {
    bias = Parameter(b, {.decay = false});
  } else {
    bias.assign(b);
  }
}

void make_identity(const NormInfo& norm) {
  const Shape shape{norm.channels};
  norm.running_mean->assign(zeros(shape));
  norm.running_var->assign(full(shape, static_cast<real>(1 - norm.eps)));
  if (present(norm.weight)) norm.weight->assign(ones(shape));
  if (present(norm.bias)) norm.bias->assign(zeros(shape));
}

bool tracks(const LayerInfo& info) { return info.norm && info.norm->tracks(); }

// Why nothing can be folded into a layer; empty: something can.
std::string obstacle(const LayerInfo& layer) {
  if (!layer.known)
    return "doesn't say what it computes; if row o of a weight makes its output channel o, override info() "
           "to "
           "name weight and bias";
  return present(layer.weight) && layer.bias ? "" : "has no weight and bias to fold into";
}

// The number of places in which the model uses a parameter or a buffer.
class Uses {
 public:
  explicit Uses(Module& model) {
    for_each_parameter(model, [&](const std::string&, Parameter& p) { ++count_[p.value().data()]; });
    for_each_buffer(model, [&](const std::string&, Buffer& b) { ++count_[b.data()]; });
  }
  template <class... Values>
  bool shared(const Values*... values) const {
    return ((values && !values->empty() && count(values->data()) > 1) || ...);
  }

 private:
  int count(const real* data) const {
    const auto found = count_.find(data);
    return found == count_.end() ? 0 : found->second;
  }
  std::map<const real*, int> count_;
};

class Folder {
 public:
  explicit Folder(Module& model) : uses_(model) {
    walk("", model, {nullptr, "", "no layer stands before it"});
  }
  FoldReport report;

 private:
  // The layer whose output is at hand, or why none is.
  struct Before {
    Module* layer;
    std::string path;
    std::string none{};
  };

  Before walk(const std::string& path, Module& module, const Before& before) {
    const LayerInfo info = info_of(module);
    const OwnParts parts = own_parts(module);
    if (tracks(info)) {
      keep(path, reason(before, *info.norm));
    } else if (info.norm && info.norm->over_batch) {
      keep(path, "keeps no running statistics");
    } else if (!info.known && !parts.buffers.empty()) {
      keep(path, "keeps buffers and doesn't say what for; if it is a norm, override info()");
    }
    if (info.structure == LayerInfo::Structure::sequence) return walk_sequence(path, info, parts, before);
    const std::string none = info.structure == LayerInfo::Structure::sum
                                 ? "no layer stands before it"
                                 : fmt::format(
                                       "held by {}, which doesn't say in which order it calls its parts; "
                                       "override its info(), or use fold(layer, norm)",
                                       named(path, module));
    for (const auto& [name, child] : parts.modules) walk(joined(path, name), *child, {nullptr, "", none});
    return {&module, path};
  }

  Before walk_sequence(const std::string& path, const LayerInfo& info, const OwnParts& parts, Before before) {
    size_t erased = 0;
    for (size_t i = 0; i < parts.modules.size(); ++i) {
      Module& child = *parts.modules[i].module;
      const std::string child_path = joined(path, parts.modules[i].name);
      const LayerInfo of_child = info_of(child);
      const bool folds =
          tracks(of_child) && reason(before, *of_child.norm).empty() &&
          (info.erase || !uses_.shared(of_child.norm->weight, of_child.norm->bias,
                                       of_child.norm->running_mean, of_child.norm->running_var));
      if (!folds) {
        before = walk(child_path, child, before);
        continue;
      }
      report.folded.push_back({child_path, before.path});
      const LayerInfo into = info_of(*before.layer);
      fold_rows(*into.weight, *into.bias, *of_child.norm);
      if (info.erase) {
        info.erase(i - erased++);
      } else {
        make_identity(*of_child.norm);
      }
    }
    return before;
  }

  // Why a norm can't be folded into what comes before it; empty: it can.
  std::string reason(const Before& before, const NormInfo& norm) const {
    if (!before.layer) return before.none;
    const LayerInfo info = info_of(*before.layer);
    if (const std::string found = obstacle(info); !found.empty())
      return fmt::format("comes after {}, which {}", before.layer->describe(), found);
    if (uses_.shared(info.weight, info.bias))
      return fmt::format("{} shares its weight or bias with another layer", before.layer->describe());
    if (info.weight->shape()[0] != norm.channels)
      return fmt::format("{} doesn't give {} channels", before.layer->describe(), norm.channels);
    return "";
  }

  void keep(const std::string& path, std::string why) {
    if (why.empty()) why = "is used in a second place, and can't be removed from the module that holds it";
    report.kept.push_back({path, std::move(why)});
  }

  Uses uses_;
};

}  // namespace

void fold(Module& layer, Module& norm) {
  const LayerInfo into = info_of(layer), of_norm = info_of(norm);
  const std::string found = obstacle(into);
  check<UsageError>(found.empty(), "fold: {} {}", layer.describe(), found);
  check<UsageError>(
      tracks(of_norm),
      "fold: {} has no running statistics: it normalizes by its input in evaluation too; a norm of "
      "your own names them by overriding info()",
      norm.describe());
  check<ShapeError>(into.weight->shape()[0] == of_norm.norm->channels,
                    "fold: {} after a layer with {} outputs; the numbers of channels must agree",
                    norm.describe(), into.weight->shape()[0]);
  fold_rows(*into.weight, *into.bias, *of_norm.norm);
  make_identity(*of_norm.norm);
}

FoldReport fold(Module& model) { return Folder(model).report; }

}  // namespace ballast::inline BALLAST_PRECISION
