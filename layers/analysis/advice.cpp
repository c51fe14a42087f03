#include <ballast/layers/analysis/advice.h>

#include <algorithm>

#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/rms_norm.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

template <class... Layers>
bool is_any(const Module& layer) {
  return ((dynamic_cast<const Layers*>(&layer) != nullptr) || ...);
}

bool is_norm(const Module& layer) { return is_any<TrackingNorm, LayerNorm, GroupNorm, RMSNorm>(layer); }

// One that trains: with its mode frozen it is an affine map like any other.
bool is_batch_norm(const Module& layer) {
  return is_any<BatchNorm1d, BatchNorm2d>(layer) && !layer.frozen.mode;
}

// A layer without children, and what happened before it.
struct Place {
  std::string path;
  Module* layer;
  std::string before_path, dropout;  // of the layer directly before, of the last dropout; empty: none
  Module* before;                    // null: none, or several
  bool vectors;                      // it gets (N, C) or (N, C, 1, 1)
};

struct Children : Visitor {
  std::vector<std::pair<std::string, Module*>> found;
  explicit Children(Module& of) { of.visit(*this); }
  void module(const std::string& name, Module& part) override { found.emplace_back(name, &part); }
};

class Route {
 public:
  std::vector<Place> places;
  explicit Route(Module& model) { walk({"", &model, "", "", nullptr, false}); }

 private:
  // Takes the state in front of a module, returns the one behind it.
  Place walk(Place at) {
    const std::string path = at.path;
    Module& module = *at.layer;
    const auto inside = [&](const std::string& name, Module* child) {
      at.path = path.empty() ? name : path + "." + name;
      at.layer = child;
      return at;
    };
    if (const auto residual = dynamic_cast<Residual*>(&module)) {
      const Place body = walk(inside("body", &residual->body)),
                  around = walk(inside("shortcut", &residual->shortcut));
      at = body;
      at.before = nullptr;
      if (at.dropout.empty()) at.dropout = around.dropout;
      return at;
    }
    const Children children(module);
    for (const auto& [name, child] : children.found) at = walk(inside(name, child));
    return children.found.empty() && !is_any<Sequential>(module) ? pass(at) : at;
  }

  Place pass(Place at) {
    places.push_back(at);
    const Module& layer = *at.layer;
    at.before = at.layer;
    at.before_path = at.path;
    if (const auto dropout = dynamic_cast<const Dropout*>(&layer); dropout && dropout->p > 0)
      at.dropout = at.path;
    if (is_norm(layer)) at.dropout.clear();
    if (is_any<Linear, Flatten, GlobalAvgPool>(layer)) at.vectors = true;
    if (is_any<Conv1d, Conv2d>(layer)) at.vectors = false;
    return at;
  }
};

std::string name(const std::string& path, const Module& layer) {
  return path.empty() ? layer.describe() : path + " (" + layer.describe() + ")";
}

using Places = std::vector<Place>;

struct Finding {
  std::string path, text;
};
using Findings = std::vector<Finding>;

Findings small_batch(const Places& places, const TrainingContext& context) {
  if (context.batch_size >= 8) return {};
  for (const Place& at : places) {
    if (!is_batch_norm(*at.layer)) continue;
    return {
        {at.path,  // once for the model
         fmt::format("{} normalizes by the statistics of {}, which are noise below 8; use GroupNorm or "
                     "LayerNorm, which don't look at the batch, or a larger batch",
                     name(at.path, *at.layer),
                     context.batch_size == 1 ? "1 sample" : fmt::format("{} samples", context.batch_size))}};
  }
  return {};
}

Findings one_value_per_channel(const Places& places, const TrainingContext& context) {
  Findings found;
  if (context.batch_size != 1) return found;
  for (const Place& at : places) {
    if (!is_batch_norm(*at.layer) || !at.vectors) continue;
    found.push_back(
        {at.path, fmt::format("{} gets one value per channel from a batch of 1, whose variance means "
                              "nothing: training stops with an error; use LayerNorm, or a larger batch",
                              name(at.path, *at.layer))});
  }
  return found;
}

// Whether `norm` takes the mean of every single output of `layer`, and so takes out its bias again.
bool takes_out_bias(Module& layer, const Module& norm) {
  int64_t biases = 0, rank = 0;
  for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
    if (path.ends_with("bias")) biases = p.count();
    rank = std::max<int64_t>(rank, p.shape().rank());
  });
  if (biases == 0 || rank < 2 || is_norm(layer) || norm.frozen.mode) return false;
  if (const auto tracking = dynamic_cast<const TrackingNorm*>(&norm)) return tracking->channels == biases;
  const auto group = dynamic_cast<const GroupNorm*>(&norm);
  return group && group->groups == biases && group->channels == biases;
}

Findings bias_before_norm(const Places& places, const TrainingContext&) {
  Findings found;
  for (const Place& at : places) {
    if (!at.before || !takes_out_bias(*at.before, *at.layer)) continue;
    found.push_back(
        {at.before_path, fmt::format("the bias of {} is redundant: {} subtracts it again with the mean "
                                     "and adds its own; construct the layer with {{.bias = false}}",
                                     name(at.before_path, *at.before), name(at.path, *at.layer))});
  }
  return found;
}

Findings dropout_before_norm(const Places& places, const TrainingContext&) {
  Findings found;
  for (const Place& at : places) {
    if (!is_batch_norm(*at.layer) || at.dropout.empty()) continue;
    found.push_back(
        {at.path, fmt::format("{} comes after the dropout {}, which raises the variance in training only: "
                              "in evaluation its running variance is too large; put dropout behind the "
                              "last batch norm",
                              name(at.path, *at.layer), at.dropout)});
  }
  return found;
}

Findings decayed_norm(const Places& places, const TrainingContext& context) {
  if (context.weight_decay == 0) return {};
  for (const Place& at : places) {
    bool decayed = false;
    for_each_parameter(*at.layer, [&](const std::string&, Parameter& p) {
      decayed |= p.trainable() && (context.decays_all || p.decays());
    });
    if (!is_norm(*at.layer) || !decayed) continue;
    return {
        {at.path,  // once for the model
         fmt::format("weight decay pulls the weight and bias of {}, and of every norm like it, to 0, which "
                     "regularizes nothing; decay weights only (DecayRule::weights_only)",
                     name(at.path, *at.layer))}};
  }
  return {};
}

struct Rule {
  AdviceRule known;
  Findings (*apply)(const Places&, const TrainingContext&);
};

constexpr Rule rules[] = {
    {{"small-batch", "a batch norm that trains on batches below 8",
      "Wu & He 2018, Group Normalization, fig. 1"},
     small_batch},
    {{"one-value-per-channel", "a batch norm that trains on single vectors",
      "Ioffe & Szegedy 2015, Batch Normalization, algorithm 1"},
     one_value_per_channel},
    {{"bias-before-norm", "a bias that the norm behind it subtracts again",
      "Ioffe & Szegedy 2015, Batch Normalization, sec. 3.2"},
     bias_before_norm},
    {{"dropout-before-norm", "a dropout in front of a batch norm",
      "Li, Chen, Hu & Yang 2018, arXiv:1801.05134"},
     dropout_before_norm},
    {{"decayed-norm", "weight decay on the parameters of a norm",
      "He et al. 2019, Bag of Tricks, arXiv:1812.01187, sec. 3.1"},
     decayed_norm},
};

}  // namespace

std::vector<AdviceRule> advice_rules() {
  std::vector<AdviceRule> known;
  for (const Rule& rule : rules) known.push_back(rule.known);
  return known;
}

std::vector<Advice> advise(Module& model, const TrainingContext& context) {
  const Route route(model);
  std::vector<Advice> found;
  for (const Rule& rule : rules) {
    for (Finding& finding : rule.apply(route.places, context))
      found.push_back({std::string(rule.known.name), std::move(finding.path), std::move(finding.text),
                       std::string(rule.known.source)});
  }
  return found;
}

}  // namespace ballast::inline BALLAST_PRECISION
