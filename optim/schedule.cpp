#include <ballast/optim/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// From `from` at share 0 to `to` at share 1 along half a cosine.
double anneal(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * share)) / 2;
}

void check_steps(int64_t steps, const char* name) {
  check<ValueError>(steps >= 1, "schedule::{}: {} steps; give at least 1", name, steps);
}

}  // namespace

Schedule schedule::constant(double lr) {
  return [=](int64_t) { return lr; };
}

Schedule schedule::step(double lr, int64_t every, double gamma) {
  check_steps(every, "step");
  return [=](int64_t step) {
    const int64_t drops = step / every;
    return lr * std::pow(gamma, static_cast<double>(drops));
  };
}

Schedule schedule::cosine(double lr, int64_t steps, double min) {
  check_steps(steps, "cosine");
  return [=](int64_t step) {
    return anneal(lr, min, static_cast<double>(std::min(step, steps)) / static_cast<double>(steps));
  };
}

Schedule schedule::one_cycle(double max_lr, int64_t steps, const OneCycleOptions& options) {
  check_steps(steps, "one_cycle");
  const double first = max_lr / options.divide_first, last = first / options.divide_last;
  const double top = options.warm_up * static_cast<double>(steps) - 1, end = static_cast<double>(steps) - 1;
  return [=](int64_t step) {
    const double t = std::min(static_cast<double>(step), end);
    if (t <= top) return top > 0 ? anneal(first, max_lr, t / top) : max_lr;
    return anneal(max_lr, last, end > top ? (t - top) / (end - top) : 1);
  };
}

Schedule schedule::warm_up(int64_t steps, Schedule then) {
  check_steps(steps, "warm_up");
  return [=, then = std::move(then)](int64_t step) {
    if (step >= steps) return then(step - steps);
    return then(0) * static_cast<double>(step + 1) / static_cast<double>(steps);
  };
}

}  // namespace ballast::inline BALLAST_PRECISION
