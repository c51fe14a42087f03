#include <ballast/optim/sgd.h>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/map.h>

namespace ballast::inline BALLAST_PRECISION {

SGD::SGD(Module& module, const SGDOptions& options)
    : Optimizer(module, options.lr, options.weight_decay, options.decay_rule), options_(options) {
  check<ValueError>(options.momentum >= 0, "SGD: a momentum of {}; it can't be negative", options.momentum);
  check<ValueError>(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                    "SGD: Nesterov momentum needs a momentum above 0 and no dampening; got {} and {}",
                    options.momentum, options.dampening);
  if (options.momentum > 0) momentum_ = &add_state("momentum_buffer");
}

void SGD::update(const Range& range, real* value, real* grad) {
  const real momentum = static_cast<real>(options_.momentum);
  // The first step starts the buffer with the gradient itself.
  const bool first = range.step == 1;
  const SGDStep s = {
      .l2 = static_cast<real>(range.weight_decay),
      .keep = first ? 0 : momentum,
      .take = first ? 1 : static_cast<real>(1 - options_.dampening),
      .along = options_.nesterov ? real(1) : real(0),
      .behind = options_.nesterov ? momentum : real(1),
      .rate = static_cast<real>(range.lr),
  };
  real* buffer = momentum_ ? momentum_->update() : nullptr;
  parallel_for(range.count, equal_grain(range.count), [=](int64_t begin, int64_t end) {
    const int64_t i = range.begin + begin;
    kernels().sgd(s, end - begin, value + i, grad + i, buffer ? buffer + i : nullptr);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
