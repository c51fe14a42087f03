#pragma once

#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

struct EmaOptions {
  double decay = 0.999;
  /// The decay rises to its value, as min(decay, (1 + t) / (10 + t)) after t updates (TensorFlow's
  /// ExponentialMovingAverage with num_updates), so that the average of a short run isn't that of its first
  /// steps.
  bool warm_up = false;
};

/// Exponential moving average of a model's weights (after Polyak & Juditsky 1992), which is often more
/// accurate than the last weights: average = decay average + (1 - decay) weights at each update, and running
/// statistics alike; the first update copies, and counters are copied always. That is PyTorch's
/// swa_utils.AveragedModel with get_ema_avg_fn(decay) and use_buffers=True. timm's ModelEmaV3 differs by
/// beginning with the initial weights.
///
///     Net average = net;
///     Ema ema(net, average);
///     for (...) { ...; optimizer.step(); ema.update(); }
///     evaluate(average, data);
///
/// `average` must have the same parts as the model, of the same shapes (else UsageError), and isn't to be
/// trained itself. Both must keep their parameters and counters where they are. Its own state, the number of
/// updates, is saved beside `average`. Tied parameters are two in a copy, of equal values.
class Ema : public Parts {
 public:
  Ema(Parts& model, Parts& average, const EmaOptions& options = {});
  /// To be called after each step of the optimizer.
  void update();
  void visit(Visitor& v) override { v("updates", updates_); }

 private:
  struct Pair {
    Tensor from, to;  // they share the elements of the parameter or buffer
  };
  struct CounterPair {
    const Counter* from;
    Counter* to;
  };
  std::vector<Pair> tensors_;
  std::vector<CounterPair> counters_;
  EmaOptions options_;
  Counter updates_;
};

}  // namespace ballast::inline BALLAST_PRECISION
