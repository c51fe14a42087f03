#include <ballast/optim/sgd.h>

#include <cmath>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

SGD::SGD(Parts& model, const SGDOptions& options)
    : Optimizer(model, checked(options).lr, options.weight_decay, options.decay_rule), options_(options) {
  if (options.momentum > 0) add_state("momentum_buffer");
}

const SGDOptions& SGD::checked(const SGDOptions& options) {
  check_option("SGD: momentum", options.momentum);
  check<ValueError>(std::isfinite(options.dampening), "SGD: a dampening of {}; it must be finite",
                    options.dampening);
  check<ValueError>(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                    "SGD: Nesterov momentum needs a momentum above 0 and no dampening; got {} and {}",
                    options.momentum, options.dampening);
  return options;
}

void SGD::update(const Part& part) const {
  // The first step starts the buffer with the gradient itself.
  const bool first = part.step == 1;
  const SGDStep s = {
      .l2 = static_cast<real>(part.weight_decay),
      .momentum = static_cast<real>(options_.momentum),
      .one_minus_dampening = static_cast<real>(first ? 1 : 1 - options_.dampening),
      //~ .one_minus_dampening = static_cast<real>(1 - options_.dampening),
      .rate = static_cast<real>(part.lr),
      .nesterov = options_.nesterov,
      //~ .nesterov = false,
  };
  kernels().sgd(s, part.count, part.value, part.grad, part.state[0]);
}

}  // namespace ballast::inline BALLAST_PRECISION
