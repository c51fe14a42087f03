#pragma once

#include <ballast/core/ops/norm_kernels.h>

namespace ballast::inline BALLAST_PRECISION {

// What norms by rows and by channels have in common: means and variances from sums, and what is done to one
// run.

/// The biased variance of `count` values from the sums of d = x - shift and of d^2: in one pass. The shift is
/// an element of the set, so that a constant gives exactly 0 and a large mean costs nothing (Chan, Golub &
/// LeVeque 1983, sec. 2).
double variance(Sums d, double count);

/// Whether that element was an outlier, ten standard deviations off, so that the difference in `variance`
/// loses more than two digits: then, and only then, a second pass shifts by the mean.
bool far_off(Sums d, double count);

/// Memory for a plane before it is pooled, or after its gradient is spread.
int64_t plane_size(const Follow& follow);

/// Normalizes the run that begins at element `start`, and does what follows.
void forward_run(const Forward& f, Run run, int64_t start, real* plane);

/// The gradient of the run that begins at element `start`: in dy, or spread over `plane`.
const real* gradient_of_run(const Backward& b, int64_t count, int64_t start, real* plane);

/// Sums of g and g xhat over the run that begins at element `start`; for elements with weights of their own
/// see gradient_sums.
Sums sums_of_run(const Backward& b, const Run& run, int64_t start, real* plane, real* dweights,
                 real* dbiases);

/// The run as its gradient is taken: a pooling's winners say what the ReLU cut off.
Run for_gradient(Run run, const Backward& b);

}  // namespace ballast::inline BALLAST_PRECISION
