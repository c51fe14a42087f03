#pragma once

#include <cstdint>
#include <functional>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// The learning rate as a function of the step (0, 1, ...), free of state, so that a resumed run needs
/// nothing but its step: `optimizer.set_lr(schedule(step))` before each step. Any lambda will do; those below
/// throw ValueError for a rate that is negative or not finite.
using Schedule = std::function<double(int64_t step)>;

namespace schedule {

Schedule constant(double lr);
/// lr gamma^floor(step / every), PyTorch's StepLR.
Schedule step(double lr, int64_t every, double gamma = 0.1);
/// min + (lr - min) (1 + cos(pi step / steps)) / 2 up to `steps`, then min (Loshchilov & Hutter 2017).
Schedule cosine(double lr, int64_t steps, double min = 0);

struct OneCycleOptions {
  double warm_up = 0.3;      // share of the steps spent rising
  double divide_first = 25;  // starts at max_lr / divide_first
  double divide_last = 1e4;  // ends at the start / divide_last
};
/// Smith & Topin 2018, PyTorch's OneCycleLR with cosine annealing: from max_lr / 25 up to max_lr and down to
/// almost nothing over `steps` steps. The momentum is not cycled.
Schedule one_cycle(double max_lr, int64_t steps, const OneCycleOptions& options = {});
/// Linear warm-up before any schedule: (step + 1) / steps times its first learning rate for `steps`
/// steps, then the schedule from its beginning.
Schedule warm_up(int64_t steps, Schedule then);

}  // namespace schedule

struct PlateauOptions {
  double factor = 0.1;      // what the rate is multiplied by
  int64_t patience = 10;    // calls without progress before that
  double threshold = 1e-4;  // progress is a change by more than this share of the best so far
  double min_lr = 0;
  bool maximize = false;  // a larger measure is better, such as an accuracy
};

/// Lowers a learning rate when a measure has stopped getting better: PyTorch's ReduceLROnPlateau with a
/// relative threshold and no cooldown. After each epoch: `optimizer.set_lr(plateau(loss, optimizer.lr()))`.
/// Its state is `best` and `waited`.
struct Plateau {
  PlateauOptions options;
  double best;
  int64_t waited = 0;

  explicit Plateau(const PlateauOptions& o = {});
  /// The learning rate from now on.
  double operator()(double measure, double lr);
};

}  // namespace ballast::inline BALLAST_PRECISION
