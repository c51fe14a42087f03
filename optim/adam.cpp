#include <ballast/optim/adam.h>

#include <cmath>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

Adam::Adam(Parts& model, const AdamOptions& options, bool decoupled_decay)
    : Optimizer(model, checked(options).lr, options.weight_decay, options.decay_rule),
      options_(options),
      decoupled_decay_(decoupled_decay) {
  add_state("exp_avg");
  add_state("exp_avg_sq");
  if (options.amsgrad) add_state("max_exp_avg_sq");
}

const AdamOptions& Adam::checked(const AdamOptions& options) {
  const auto is_beta = [](double beta) { return beta >= 0 && beta < 1; };
  check<ValueError>(is_beta(options.beta1) && is_beta(options.beta2),
                    "Adam: betas of {} and {}; both must be in [0, 1)", options.beta1, options.beta2);
  check_option("Adam: eps", options.eps);
  return options;
}

void Adam::update(const Part& part) const {
  const auto step = static_cast<double>(part.step);
  const double correction1 = 1 - std::pow(options_.beta1, step),
               correction2 = 1 - std::pow(options_.beta2, step);
  const AdamStep s = {
      .l2 = static_cast<real>(decoupled_decay_ ? 0 : part.weight_decay),
      //~ .l2 = static_cast<real>(part.weight_decay),
      .beta1 = static_cast<real>(options_.beta1),
      .one_minus_beta1 = static_cast<real>(1 - options_.beta1),
      .beta2 = static_cast<real>(options_.beta2),
      .one_minus_beta2 = static_cast<real>(1 - options_.beta2),
      .decay = static_cast<real>(decoupled_decay_ ? 1 - part.lr * part.weight_decay : 1),
      //~ .decay = static_cast<real>(decoupled_decay_ ? 1 - part.weight_decay : 1),
      .rate = static_cast<real>(part.lr / correction1),
      //~ .rate = static_cast<real>(part.lr),
      .v_correction = static_cast<real>(1 / std::sqrt(correction2)),
      //~ .v_correction = 1,
      .eps = static_cast<real>(options_.eps),
  };
  if (options_.amsgrad) {
    kernels().amsgrad(s, part.count, part.value, part.grad, part.state[0], part.state[1], part.state[2]);
  } else {
    kernels().adam(s, part.count, part.value, part.grad, part.state[0], part.state[1]);
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
