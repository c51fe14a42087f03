#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// What is known of the training that a model is meant for.
struct TrainingContext {
  int64_t batch_size = 128;
  double weight_decay = 0;
  /// Weight decay applies to the parameters of norms too (DecayRule::all).
  bool decays_all = false;
};

/// A rule: its name, what it points at, and who found it.
struct AdviceRule {
  std::string_view name, about, source;
};

/// All rules there are, in the order in which `advise` applies them.
std::vector<AdviceRule> advice_rules();

/// One thing to know about a model before it is trained: `rule` is the rule's name, `path` the layer, `text`
/// what and why and what to do, `source` the rule's.
struct Advice {
  std::string rule, path, text, source;
};

/// Applies every rule. Layers are taken to run in the order of `visit`: certain in a Sequential and a
/// Residual; a module of your own is trusted to list its parts in the order it calls them. Operations called
/// as functions aren't seen.
std::vector<Advice> advise(Module& model, const TrainingContext& context = {});

}  // namespace ballast::inline BALLAST_PRECISION
