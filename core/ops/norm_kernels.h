#pragma once

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

// The two kernels under all norms. Both know what to subtract as mean = high + low: x - high is exact near
// the mean, so that a large mean costs no digits. `weight` and `bias` may be null.

/// Mean (in two parts) and 1 / sqrt(var + eps) of each normalized set: three rows of one tensor (3, sets).
struct Moments {
  explicit Moments(int64_t sets) : table(Shape{3, sets}) {}
  void set(int64_t i, double mean, double var, double eps);
  real* high() { return table.data(); }
  real* low() { return table.data() + table.shape()[1]; }
  real* rstd() { return table.data() + 2 * table.shape()[1]; }
  const real* high() const { return table.data(); }
  const real* low() const { return table.data() + table.shape()[1]; }
  const real* rstd() const { return table.data() + 2 * table.shape()[1]; }
  Tensor table;
};

/// x as rows of contiguous elements, each normalized by itself. Element i of row r has the affine index
/// (r % period) length / run + i / run: layer norm has period 1 and run 1, group norm period G and run H W,
/// instance norm period C and run H W.
struct Rows {
  int64_t count, length, period, run;
  bool centred = true;  // RMS normalization isn't: its mean counts as 0
  int64_t channels() const { return period * length / run; }
  int64_t first_channel(int64_t row) const { return row % period * (length / run); }
};

/// x as (N, C, P), normalized per channel over N and P.
struct Channels {
  int64_t n, c, p;
  int64_t values() const { return n * p; }
};

/// Gradients of the affine parameters, summed in double; either may be null.
struct AffineGradients {
  double* weight;
  double* bias;
};

void row_moments(const Rows& rows, const real* x, double eps, Moments& moments, double* mean, double* var);
void normalize_rows(const Rows& rows, const real* x, const Moments& moments, const real* weight,
                    const real* bias, real* y);
/// dx = rstd (w dy - mean(w dy) - xhat mean(w dy xhat)), without the first mean where not centred; dweight =
/// sum dy xhat, dbias = sum dy. dx may be null.
void normalize_rows_backward(const Rows& rows, const real* x, const real* dy, const Moments& moments,
                             const real* weight, real* dx, AffineGradients sums);

/// The biased variance.
void channel_moments(const Channels& shape, const real* x, double* mean, double* var);
void normalize_channels(const Channels& shape, const real* x, const Moments& moments, const real* weight,
                        const real* bias, real* y);
/// As for rows; with `constant_moments` (evaluation) dx = w rstd dy.
void normalize_channels_backward(const Channels& shape, const real* x, const real* dy, const Moments& moments,
                                 const real* weight, bool constant_moments, real* dx, AffineGradients sums);

}  // namespace ballast::inline BALLAST_PRECISION
