#pragma once

#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// Folds an evaluated batch norm into the layer whose output it normalizes, for inference: with s = weight /
/// sqrt(running_var + eps) the layer's weight becomes s W and its bias s (b - running_mean) + norm.bias,
/// formed in double (Jacob et al. 2018, sec. 3.2). The layer gets a bias if it had none. Afterwards `norm` is
/// the identity in evaluation: a `forward` may go on calling it, or leave it out. An instance norm with
/// running statistics folds alike. A weight, bias or norm that is used in a second place changes there too:
/// only `fold(model)` can see that. Throws UsageError, saying what to override, when `layer.info()` names no
/// weight and bias or `norm.info()` no running statistics; ShapeError when the channels differ.
void fold(Module& layer, Module& norm);

/// What `fold(model)` did, under the names that the parts had before.
struct FoldReport {
  struct Folded {
    std::string norm, into;
  };
  struct Kept {
    std::string norm, reason;
  };
  std::vector<Folded> folded;
  std::vector<Kept> kept;
};

/// Folds every norm with running statistics that directly follows a layer with weight and bias in a
/// sequence, at any depth, and removes it: in a Sequential the layers after it move up, and a checkpoint of
/// the folded model has their new numbers. In a sequence of your own (LayerInfo::Structure::sequence) the
/// norm becomes the identity. A layer whose channels are its last axis, such as Linear, is taken to map (N,
/// in). What stays, and why, is listed in `kept`: also every layer with buffers that doesn't say what it is.
FoldReport fold(Module& model);

}  // namespace ballast::inline BALLAST_PRECISION
