#include <ballast/core/ops/norm_runs.h>

#include <algorithm>

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

double variance(Sums d, double count) {
  const double mean = d.a / count, var = d.b / count - mean * mean;
  return var < 0 ? 0 : var;
}

bool far_off(Sums d, double count) { return d.a * d.a > 0.99 * count * d.b; }

int64_t plane_size(const Follow& follow) { return follow.then.max_pool ? follow.h * follow.w : 0; }

void forward_run(const Forward& f, Run run, int64_t start, real* plane) {
  const Follow& follow = f.follow;
  if (!follow.then.max_pool) {
    run.relu = follow.then.relu;
    run.stream = f.stream;
    return kernels().normalize(run, f.x + start, f.y + start);
  }
  kernels().normalize(run, f.x + start, plane);
  const int64_t to = start / run.count * follow.outputs();
  kernels().max_pool(follow.plane(), plane, follow.then.relu, f.y + to, f.winners ? f.winners + to : nullptr);
}

const real* gradient_of_run(const Backward& b, int64_t count, int64_t start, real* plane) {
  const Follow& follow = b.follow;
  if (!follow.then.max_pool) return b.dy + start;
  const int64_t from = start / count * follow.outputs();
  if (follow.w % 2 || follow.h % 2) std::fill_n(plane, follow.h * follow.w, real{0});
  kernels().max_pool_gradient(follow.plane(), b.dy + from, b.winners + from, plane);
  return plane;
}

Sums sums_of_run(const Backward& b, const Run& run, int64_t start, real* plane, real* dweights,
                 real* dbiases) {
  if (b.follow.then.max_pool && !run.weights) {
    const int64_t from = start / run.count * b.follow.outputs();
    return kernels().pooled_gradient_sums(run, b.follow.plane(), b.x + start, b.dy + from, b.winners + from);
  }
  const real* g = gradient_of_run(b, run.count, start, plane);
  return kernels().gradient_sums(run, b.x + start, g, dweights, dbiases);
}

Run for_gradient(Run run, const Backward& b) {
  run.relu = b.follow.then.relu && !b.follow.then.max_pool;
  run.stream = b.stream;
  if (b.follow.then.max_pool) run.dy_ahead = 0;  // the gradient is in a plane that is used again and again
  return run;
}

}  // namespace ballast::inline BALLAST_PRECISION
