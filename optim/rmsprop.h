#pragma once

#include <ballast/optim/optimizer.h>

namespace ballast::inline BALLAST_PRECISION {

struct RMSpropOptions {
  double lr = 0.01;
  double alpha = 0.99;
  double eps = 1e-8;
  double momentum = 0;
  double weight_decay = 0;
  DecayRule decay_rule = DecayRule::weights_only;
};

/// RMSprop (Tieleman & Hinton 2012) as PyTorch has it: g += decay p; v = alpha v + (1 - alpha) g^2; d = g /
/// (sqrt(v) + eps), and with momentum b = momentum b + d and d = b; p -= lr d. State: square_avg, and with
/// momentum momentum_buffer.
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(Parts& model, const RMSpropOptions& options = {});

 private:
  static const RMSpropOptions& checked(const RMSpropOptions& options);
  void update(const Part& part) const override;
  RMSpropOptions options_;
};

}  // namespace ballast::inline BALLAST_PRECISION
