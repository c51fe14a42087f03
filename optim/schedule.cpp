#include <ballast/optim/schedule.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
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

void check_rates(const char* name, std::initializer_list<double> rates) {
  for (const double rate : rates)
    check<ValueError>(std::isfinite(rate) && rate >= 0, "schedule::{}: {} must be finite and at least 0",
                      name, rate);
}

}  // namespace

Schedule schedule::constant(double lr) {
  check_rates("constant", {lr});
  return [=](int64_t) { return lr; };
}

Schedule schedule::step(double lr, int64_t every, double gamma) {
  check_steps(every, "step");
  check_rates("step", {lr, gamma});
  return [=](int64_t step) {
    const int64_t drops = step / every;
    //~ const int64_t drops = (step + 1) / every;
    return lr * std::pow(gamma, static_cast<double>(drops));
  };
}

Schedule schedule::cosine(double lr, int64_t steps, double min) {
  check_steps(steps, "cosine");
  check_rates("cosine", {lr, min});
  return [=](int64_t step) {
    return anneal(lr, min, static_cast<double>(std::min(step, steps)) / static_cast<double>(steps));
  };
}

Schedule schedule::one_cycle(double max_lr, int64_t steps, const OneCycleOptions& options) {
  check_steps(steps, "one_cycle");
  check_rates("one_cycle", {max_lr, options.warm_up});
  check<ValueError>(options.divide_first > 0 && options.divide_last > 0,
                    "schedule::one_cycle: division by {} and {}; both must be positive", options.divide_first,
                    options.divide_last);
  const double first = max_lr / options.divide_first, last = first / options.divide_last;
  const double top = options.warm_up * static_cast<double>(steps) - 1, end = static_cast<double>(steps) - 1;
  //~ const double top = options.warm_up * static_cast<double>(steps), end = static_cast<double>(steps);
  return [=](int64_t step) {
    const double t = std::min(static_cast<double>(step), end);
    //~ const auto t = static_cast<double>(step);
    if (t <= top) return top > 0 ? anneal(first, max_lr, t / top) : max_lr;
    return anneal(max_lr, last, end > top ? (t - top) / (end - top) : 1);
  };
}

Schedule schedule::warm_up(int64_t steps, Schedule then) {
  check_steps(steps, "warm_up");
  return [=, then = std::move(then)](int64_t step) {
    if (step >= steps) return then(step - steps);
    //~ if (step >= steps) return then(step);
    return then(0) * static_cast<double>(step + 1) / static_cast<double>(steps);
    //~ return then(0) * static_cast<double>(step) / static_cast<double>(steps);
  };
}

Plateau::Plateau(const PlateauOptions& o)
    : options(o),
      best(o.maximize ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity()) {
  check<ValueError>(o.factor > 0 && o.factor < 1, "Plateau: a factor of {}; it must be between 0 and 1",
                    o.factor);
  check<ValueError>(o.patience >= 0 && o.threshold >= 0 && o.min_lr >= 0,
                    "Plateau: patience {}, threshold {} and min_lr {}; none may be negative", o.patience,
                    o.threshold, o.min_lr);
}

double Plateau::operator()(double measure, double lr) {
  const bool better =
      options.maximize ? measure > best * (1 + options.threshold) : measure < best * (1 - options.threshold);
  if (better) {
    best = measure;
    waited = 0;
    //~
    return lr;
  }
  if (++waited <= options.patience) return lr;
  //~ if (++waited < options.patience) return lr;
  waited = 0;
  return std::max(lr * options.factor, std::min(lr, options.min_lr));
}

}  // namespace ballast::inline BALLAST_PRECISION
