#include <ballast/optim/adam.h>

#include <cmath>

#include <ballast/core/ops/map.h>

namespace ballast::inline BALLAST_PRECISION {

Adam::Adam(Module& module, const AdamOptions& options, bool decoupled_decay)
    : Optimizer(module, options.lr, options.weight_decay, options.decay_rule),
      options_(options),
      decoupled_decay_(decoupled_decay),
      m_(add_state("exp_avg")),
      v_(add_state("exp_avg_sq")) {
  const auto is_beta = [](double beta) { return beta >= 0 && beta < 1; };
  check<ValueError>(is_beta(options.beta1) && is_beta(options.beta2),
                    "Adam: betas of {} and {}; both must be in [0, 1)", options.beta1, options.beta2);
  check<ValueError>(options.eps >= 0, "Adam: an eps of {}; it can't be negative", options.eps);
}

void Adam::update(const Range& range, real* value, real* grad) {
  const auto step = static_cast<double>(range.step);
  const double correction1 = 1 - std::pow(options_.beta1, step),
               correction2 = 1 - std::pow(options_.beta2, step);
  const real beta1 = static_cast<real>(options_.beta1), beta2 = static_cast<real>(options_.beta2);
  const real rest1 = static_cast<real>(1 - options_.beta1), rest2 = static_cast<real>(1 - options_.beta2);
  const real rate = static_cast<real>(range.lr / correction1),
             root2 = static_cast<real>(1 / std::sqrt(correction2));
  const real eps = static_cast<real>(options_.eps);
  const real l2 = static_cast<real>(decoupled_decay_ ? 0 : range.weight_decay);
  const real shrink = static_cast<real>(decoupled_decay_ ? 1 - range.lr * range.weight_decay : 1);
  real *m = m_.update(), *v = v_.update();
  parallel_for(range.count, elementwise_grain, [=](int64_t begin, int64_t end) {
    for (int64_t i = range.begin + begin; i < range.begin + end; ++i) {
      const real g = grad[i] + l2 * value[i];
      m[i] = beta1 * m[i] + rest1 * g;
      v[i] = beta2 * v[i] + rest2 * g * g;
      value[i] = shrink * value[i] - rate * m[i] / (std::sqrt(v[i]) * root2 + eps);
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
