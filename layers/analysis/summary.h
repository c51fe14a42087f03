#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// A call of a layer.
struct LayerSummary {
  std::string path, layer;
  Module* module;
  Shape input, output;  // of no axes for a layer that wasn't called
  /// Those of a module with modules inside are its own, not theirs.
  int64_t parameters;
  /// Multiply-adds in products and convolutions for the whole batch; empty if unknown, and `why` says why.
  std::optional<int64_t> multiply_adds;
  std::string why;
};

struct ModelSummary {
  std::vector<LayerSummary> layers;      // in the order of calls
  int64_t parameters;                    // shared ones counted once
  std::optional<int64_t> multiply_adds;  // empty when it isn't known of every layer
};

/// Evaluates `model` once, on zeros of the shape `input` (with N), and writes down its layers. Layers count
/// by LayerInfo::multiply_adds. The work is unknown for a layer that doesn't give it, for a module with
/// modules and parameters of its own, which may use them in any operation, and for a layer with parameters
/// that wasn't called as a module. Operations between layers that use no parameter, such as the products of
/// attention, aren't seen unless the module that does them says how many there are.
ModelSummary summarize(Module& model, const Shape& input);

}  // namespace ballast::inline BALLAST_PRECISION
