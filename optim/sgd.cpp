#include <ballast/optim/sgd.h>

#include <cmath>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

SGD::SGD(Parts& model, const SGDOptions& options)
    : Optimizer(model, options.lr, options.weight_decay, options.decay_rule), options_(options) {
  check_option("momentum", options.momentum);
  check<ValueError>(std::isfinite(options.dampening), "SGD: a dampening of {}; it must be finite",
                    options.dampening);
  check<ValueError>(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                    "SGD: Nesterov momentum needs a momentum above 0 and no dampening; got {} and {}",
                    options.momentum, options.dampening);
  if (options.momentum > 0) add_state("momentum_buffer");
}

void SGD::update(const Part& part) const {
  const real momentum = static_cast<real>(options_.momentum);
  // The first step starts the buffer with the gradient itself.
  const bool first = part.step == 1;
  const SGDStep s = {
      .l2 = static_cast<real>(part.weight_decay),
      .keep = first ? 0 : momentum,
      .take = first ? 1 : static_cast<real>(1 - options_.dampening),
      .along = options_.nesterov ? real(1) : real(0),
      .behind = options_.nesterov ? momentum : real(1),
      .rate = static_cast<real>(part.lr),
  };
  kernels().sgd(s, part.count, part.value, part.grad, part.state[0]);
}

}  // namespace ballast::inline BALLAST_PRECISION
