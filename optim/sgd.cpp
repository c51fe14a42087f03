#include <ballast/optim/sgd.h>

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
  const real lr = static_cast<real>(range.lr), decay = static_cast<real>(range.weight_decay);
  const real momentum = static_cast<real>(options_.momentum);
  const real keep =
      range.step == 1 ? 0 : momentum;  // the first step starts the buffer with the gradient itself
  const real take = range.step == 1 ? 1 : static_cast<real>(1 - options_.dampening);
  real* buffer = momentum_ ? momentum_->update() : nullptr;
  parallel_for(range.count, elementwise_grain, [=, nesterov = options_.nesterov](int64_t begin, int64_t end) {
    for (int64_t i = range.begin + begin; i < range.begin + end; ++i) {
      real g = grad[i] + decay * value[i];
      if (buffer) {
        buffer[i] = keep * buffer[i] + take * g;
        g = nesterov ? g + momentum * buffer[i] : buffer[i];
      }
      value[i] -= lr * g;
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
