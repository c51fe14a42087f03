#include <ballast/optim/rmsprop.h>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

RMSprop::RMSprop(Parts& model, const RMSpropOptions& options)
    : Optimizer(model, checked(options).lr, options.weight_decay, options.decay_rule), options_(options) {
  add_state("square_avg");
  if (options.momentum > 0) add_state("momentum_buffer");
}

const RMSpropOptions& RMSprop::checked(const RMSpropOptions& options) {
  check<ValueError>(options.alpha >= 0 && options.alpha < 1, "RMSprop: an alpha of {}; it must be in [0, 1)",
                    options.alpha);
  check_option("RMSprop: eps", options.eps);
  check_option("RMSprop: momentum", options.momentum);
  return options;
}

void RMSprop::update(const Part& part) const {
  const RMSpropStep s = {
      .l2 = static_cast<real>(part.weight_decay),
      .alpha = static_cast<real>(options_.alpha),
      .one_minus_alpha = static_cast<real>(1 - options_.alpha),
      .eps = static_cast<real>(options_.eps),
      .momentum = static_cast<real>(options_.momentum),
      //~ .momentum = 0,
      .rate = static_cast<real>(part.lr),
  };
  kernels().rmsprop(s, part.count, part.value, part.grad, part.state[0], part.state[1]);
}

}  // namespace ballast::inline BALLAST_PRECISION
