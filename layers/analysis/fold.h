#pragma once

#include <string>
#include <vector>

#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/linear.h>

namespace ballast::inline BALLAST_PRECISION {

/// Folds an evaluated batch norm into the layer whose output it takes, for inference: with s = weight /
/// sqrt(running_var + eps) the layer's weight becomes s W and its bias s (b - running_mean) + norm.bias,
/// formed in double (Jacob et al. 2018, sec. 3.2). The layer gets a bias if it had none. Afterwards `norm` is
/// the identity in evaluation: a `forward` may go on calling it, or leave it out. An instance norm with
/// running statistics folds alike. Throws UsageError without running statistics, ShapeError when the channels
/// differ.
void fold(Linear& layer, TrackingNorm& norm);
void fold(Conv1d& layer, TrackingNorm& norm);
void fold(Conv2d& layer, TrackingNorm& norm);

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

/// Folds every norm with running statistics that stands in a Sequential directly behind a Linear, Conv1d or
/// Conv2d, at any depth (Residual's two ways are Sequentials too), and removes it: the layers behind it move
/// up, and a checkpoint of the folded model has their new numbers. Linear is taken to map (N, in). Which
/// layer a norm in a module of your own follows can't be seen: such norms are listed in `kept`; fold them
/// pair by pair.
FoldReport fold(Module& model);

}  // namespace ballast::inline BALLAST_PRECISION
