#pragma once

#include <ballast/optim/optimizer.h>

namespace ballast::inline BALLAST_PRECISION {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  DecayRule decay_rule = DecayRule::weights_only;
  bool amsgrad = false;  // the largest v so far in place of v (Reddi et al. 2018)
};

/// Adam (Kingma & Ba 2015) as PyTorch has it: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps). Weight decay is L2: added to the gradient.
/// State: exp_avg, exp_avg_sq, and with amsgrad max_exp_avg_sq.
class Adam : public Optimizer {
 public:
  explicit Adam(Parts& model, const AdamOptions& options = {}) : Adam(model, options, false) {}

 protected:
  Adam(Parts& model, const AdamOptions& options, bool decoupled_decay);

 private:
  static const AdamOptions& checked(const AdamOptions& options);
  void update(const Part& part) const override;
  AdamOptions options_;
  bool decoupled_decay_;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  DecayRule decay_rule = DecayRule::weights_only;
  bool amsgrad = false;
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019): p -= lr decay p first, then Adam's update
/// without decay.
class AdamW : public Adam {
 public:
  explicit AdamW(Parts& model, const AdamWOptions& o = {})
      : Adam(model, {o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.decay_rule, o.amsgrad}, true) {}
};

}  // namespace ballast::inline BALLAST_PRECISION
