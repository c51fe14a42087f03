#include <ballast/layers/analysis/advice.h>

#include <algorithm>

#include <ballast/layers/analysis/parts.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

namespace {

using Positions = LayerInfo::Positions;

// A layer, and what happened before it.
struct Place {
  std::string path;
  Module* layer;
  LayerInfo info{};
  std::string before_path{}, dropout{};  // of the layer directly before, of the last dropout; empty: none
  Module* before = nullptr;              // null: none, or several
  bool one_position = false;             // it gets (N, C) or (N, C, 1, 1)
  bool frozen_mode = false;              // evaluates even in training
};

// A norm whose statistics over the batch are those it trains with.
bool is_batch_norm(const Place& at) { return at.info.norm && at.info.norm->over_batch && !at.frozen_mode; }

// Whether a norm evaluates by running statistics in training too: it is an affine map like any other.
bool is_frozen_norm(const Place& at) { return at.info.norm && at.info.norm->tracks() && at.frozen_mode; }

class Route {
 public:
  std::vector<Place> places;
  explicit Route(Module& model) { walk({.path = "", .layer = &model}); }

 private:
  // Takes the state before a module, returns the one after it.
  Place walk(Place at) {
    const std::string path = at.path;
    Module& module = *at.layer;
    const bool frozen_around = at.frozen_mode;
    at.frozen_mode |= module.frozen.mode;
    at.info = info_of(module);
    const OwnParts parts = own_parts(module);
    if (!is_container(at.info, parts)) {
      at = pass(at);
    } else if (at.info.structure == LayerInfo::Structure::sum) {
      at = walk_sum(at, parts);
    } else {
      for (const auto& [name, child] : parts.modules) at = walk(inside(at, path, name, child));
    }
    at.frozen_mode = frozen_around;
    return at;
  }

  static Place inside(Place at, const std::string& path, const std::string& name, Module* child) {
    at.path = joined(path, name);
    at.layer = child;
    return at;
  }

  // Each part begins with the same state; their results are added up.
  Place walk_sum(const Place& at, const OwnParts& parts) {
    Place after = at;
    bool first = true;
    for (const auto& [name, child] : parts.modules) {
      const Place end = walk(inside(at, at.path, name, child));
      after.one_position = end.one_position;
      if (first || after.dropout.empty()) after.dropout = end.dropout;
      first = false;
    }
    after.before = nullptr;
    return after;
  }

  Place pass(Place at) {
    places.push_back(at);
    at.before = at.layer;
    at.before_path = at.path;
    if (at.info.dropout > 0) at.dropout = at.path;
    if (at.info.norm) at.dropout.clear();
    if (at.info.positions == Positions::one) at.one_position = true;
    if (at.info.positions == Positions::any || !at.info.known) at.one_position = false;
    return at;
  }
};

using Places = std::vector<Place>;

struct Finding {
  std::string path, text;
};
using Findings = std::vector<Finding>;

Findings small_batch(const Places& places, const TrainingContext& context) {
  if (context.batch_size >= 8) return {};
  for (const Place& at : places) {
    if (!is_batch_norm(at)) continue;
    return {
        {at.path,  // once for the model
         fmt::format("{} normalizes by the statistics of {}, which are noise below 8; use GroupNorm or "
                     "LayerNorm, which don't look at the batch, or a larger batch",
                     named(at.path, *at.layer),
                     context.batch_size == 1 ? "1 sample" : fmt::format("{} samples", context.batch_size))}};
  }
  return {};
}

// The number of values that share a variance in training; 0: not known.
int64_t values_per_variance(const Place& at, const TrainingContext& context) {
  const NormInfo& norm = *at.info.norm;
  if (norm.over_positions && !at.one_position) return 0;
  return norm.channels_together * (norm.over_batch ? context.batch_size : 1);
}

Findings one_value_per_channel(const Places& places, const TrainingContext& context) {
  Findings found;
  for (const Place& at : places) {
    if (!at.info.norm || is_frozen_norm(at) || values_per_variance(at, context) != 1) continue;
    const char* remedy = at.info.norm->over_batch ? "use LayerNorm, or a larger batch"
                         : at.info.norm->over_positions
                             ? "normalize over several channels (fewer groups, or LayerNorm)"
                             : "leave it out, or normalize over more axes";
    found.push_back(
        {at.path,
         fmt::format("{} gets one value per {}, whose variance means nothing: {}; {}",
                     named(at.path, *at.layer),
                     at.info.norm->over_batch ? "channel from a batch of 1" : "mean and variance",
                     at.info.norm->subtracts_mean ? "nothing of its input is left" : "only its sign is left",
                     remedy)});
  }
  return found;
}

// Whether the norm at a place takes the mean of every single output of `layer`, and so takes out its bias
// again.
bool takes_out_bias(Module& layer, const Place& at) {
  const LayerInfo before = info_of(layer);
  if (!before.bias || before.bias->empty() || !at.info.norm || is_frozen_norm(at)) return false;
  const NormInfo& norm = *at.info.norm;
  return norm.subtracts_mean && norm.channels_together == 1 && norm.channels == before.bias->count();
}

Findings bias_before_norm(const Places& places, const TrainingContext&) {
  Findings found;
  for (const Place& at : places) {
    if (!at.before || !takes_out_bias(*at.before, at)) continue;
    found.push_back(
        {at.before_path, fmt::format("the bias of {} is redundant: {} subtracts it again with the mean "
                                     "and adds its own; construct the layer with {{.bias = false}}",
                                     named(at.before_path, *at.before), named(at.path, *at.layer))});
  }
  return found;
}

Findings dropout_before_norm(const Places& places, const TrainingContext&) {
  Findings found;
  for (const Place& at : places) {
    if (!is_batch_norm(at) || at.dropout.empty()) continue;
    found.push_back(
        {at.path, fmt::format("{} comes after the dropout {}, which raises the variance in training only: "
                              "in evaluation its running variance is too large; put dropout after the "
                              "last batch norm",
                              named(at.path, *at.layer), at.dropout)});
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
    if (!at.info.norm || !decayed) continue;
    return {
        {at.path,  // once for the model
         fmt::format("weight decay pulls the weight and bias of {}, and of every norm like it, to 0, which "
                     "regularizes nothing; decay weights only (DecayRule::weights_only)",
                     named(at.path, *at.layer))}};
  }
  return {};
}

Findings unknown_layer(const Places& places, const TrainingContext&) {
  Findings found;
  for (const Place& at : places) {
    if (at.info.known) continue;
    found.push_back(
        {at.path, fmt::format("{} doesn't say what it computes: the other rules pass it over, and don't "
                              "know what comes out of it; override info()",
                              named(at.path, *at.layer))});
  }
  return found;
}

struct Rule {
  AdviceRule known;
  Findings (*apply)(const Places&, const TrainingContext&);
};

constexpr Rule rules[] = {
    {{"small-batch", "a batch norm that trains on batches below 8",
      "Wu & He 2018, Group Normalization, fig. 1"},
     small_batch},
    {{"one-value-per-channel", "a norm with one value for each mean and variance",
      "Ioffe & Szegedy 2015, Batch Normalization, algorithm 1"},
     one_value_per_channel},
    {{"bias-before-norm", "a bias that the norm after it subtracts again",
      "Ioffe & Szegedy 2015, Batch Normalization, sec. 3.2"},
     bias_before_norm},
    {{"dropout-before-norm", "a dropout before a batch norm", "Li, Chen, Hu & Yang 2018, arXiv:1801.05134"},
     dropout_before_norm},
    {{"decayed-norm", "weight decay on the parameters of a norm",
      "He et al. 2019, Bag of Tricks, arXiv:1812.01187, sec. 3.1"},
     decayed_norm},
    {{"unknown-layer", "a layer that the other rules can't judge", "LayerInfo in core/layer_info.h"},
     unknown_layer},
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
