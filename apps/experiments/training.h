#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ballast/data/loader.h>
#include <ballast/layers/sequential.h>
#include <ballast/optim/optimizer.h>
#include <ballast/optim/schedule.h>

#include "experiments/experiment.h"

namespace ballast::app::experiments {

struct NetOptions {
  std::string norm = "none", act = "relu", init = "he";
};
/// The network of a line of --model on images of 1 x 28 x 28, to ten classes. `init`: he and xavier (normal),
/// a number (the standard deviation of a normal distribution), or default (PyTorch's). Biases are 0, except
/// under default.
Sequential net_of(const std::string& line, const NetOptions& options = {});
void initialize_weights(Module& net, const std::string& init);

/// Forward, backward and update on one batch; the loss.
double train_step(Module& net, Optimizer& optimizer, const Batch& batch);

struct TrainingLoop {
  const Dataset& data;
  int64_t steps;
  int64_t batch_size = 128;
  uint64_t seed = 0;
  Schedule lr = {};  // none: the optimizer's own
  /// Before step number `step` (0, 1, ...), and at the end with `steps`.
  std::function<void(int64_t step)> before = {};
  /// One step; `train_step` if it is empty.
  std::function<double(const Batch&)> step = {};
};
/// Trains for that many steps, epoch after epoch of full batches, until the loss is no longer finite. The
/// losses of all steps.
std::vector<double> train(Module& net, Optimizer& optimizer, const TrainingLoop& loop);
/// Whether that went to the end.
bool finite(const std::vector<double>& losses);

/// Percent right of the test images; NaN if the network's outputs are not finite.
double test_accuracy(Module& net, const Dataset& test);

/// All trainable parameters, or their gradients (0 where none arrived), one after the other in the order of
/// `visit`.
std::vector<real> weights_of(Module& net);
std::vector<real> gradients_of(Module& net);
void set_weights(Module& net, std::span<const real> weights);

double norm(std::span<const real> x);
double distance(std::span<const real> x, std::span<const real> y);

}  // namespace ballast::app::experiments
