#pragma once

#include <ballast/optim/optimizer.h>

namespace ballast::inline BALLAST_PRECISION {

struct SGDOptions {
  double lr = 0.1;
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
  double weight_decay = 0;
  DecayRule decay_rule = DecayRule::weights_only;
};

/// Stochastic gradient descent as PyTorch has it: g += decay p; b = g at a parameter's first step, later b =
/// momentum b + (1 - dampening) g; p -= lr (nesterov ? g + momentum b : b). State: momentum_buffer.
class SGD : public Optimizer {
 public:
  explicit SGD(Parts& model, const SGDOptions& options = {});

 private:
  static const SGDOptions& checked(const SGDOptions& options);
  void update(const Part& part) const override;
  SGDOptions options_;
};

}  // namespace ballast::inline BALLAST_PRECISION
