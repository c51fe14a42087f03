#pragma once

#include <cmath>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/then.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

// The two ways through memory under all norms: sets of contiguous elements, and channels. Both work on runs
// of neighbours that are normalized alike (see Run in kernels.h), and do what follows the norm to a run while
// it is in cache.

struct MeanVar {
  double mean, var;  // the variance is the biased one
};

/// Mean (in two parts) and 1 / sqrt(var + eps) of each normalized set: three rows of one tensor (3, sets).
struct Moments {
  explicit Moments(int64_t sets) : table(Shape{3, sets}) {}
  void set(int64_t i, double mean, double var, double eps) {
    high()[i] = static_cast<real>(mean);
    low()[i] = static_cast<real>(mean - high()[i]);
    rstd()[i] = static_cast<real>(1 / std::sqrt(var + eps));
  }
  real* high() { return table.data(); }
  real* low() { return table.data() + table.shape()[1]; }
  real* rstd() { return table.data() + 2 * table.shape()[1]; }
  const real* high() const { return table.data(); }
  const real* low() const { return table.data() + table.shape()[1]; }
  const real* rstd() const { return table.data() + 2 * table.shape()[1]; }
  Tensor table;
};

/// Mean and variance of each set, for whoever keeps running ones; both may be null.
struct Statistics {
  void set(int64_t i, const MeanVar& m) const {
    if (mean) mean[i] = m.mean;
    if (var) var[i] = m.var;
  }
  double* mean = nullptr;
  double* var = nullptr;
};

/// Either may be null: 1 and 0.
struct Affine {
  const real* weight;
  const real* bias;
};

/// x as rows of contiguous elements, each normalized by itself: `runs` runs of `run` elements that share
/// their affine parameters, or where each element of a row has `own` ones. Group norm has runs of H W
/// elements and rows of C/groups runs, instance norm rows of one run.
struct Rows {
  int64_t count, period, runs, run;  // row r has the affine parameters of row r % period
  bool own = false;
  bool centred = true;  // RMS normalization isn't: its mean counts as 0
  int64_t length() const { return runs * run; }
  int64_t parameters() const { return own ? length() : period * runs; }
};

/// x as (N, C, P), normalized per channel over N and P.
struct Channels {
  int64_t n, c, p;
  int64_t values() const { return n * p; }
};

/// What follows the norm, and where the result goes or the gradient comes from. With pooling, a run is a
/// plane of h x w elements (of several, it is one).
struct Follow {
  Then then;
  int64_t h = 0, w = 0;
  PoolPlane plane() const { return {h / 2, w / 2, w}; }
  int64_t outputs() const { return (h / 2) * (w / 2); }
};

/// Gradients of the affine parameters, in double.
struct AffineGradients {
  double* weight;
  double* bias;
};

/// Forward: x -> y, and `winners` of the pooling if there is any; null where no gradient will be asked for.
struct Forward {
  const real* x;
  Affine affine;
  Follow follow;
  real* y;
  uint8_t* winners;
  bool stream;  // y goes past the caches
};

/// Backward. dx may be null, or x.
struct Backward {
  const real *x, *dy;
  Affine affine;
  Follow follow;
  const uint8_t* winners;
  real* dx;
  AffineGradients sums;
  bool stream;  // dx goes past the caches
};

/// Fills in moments and statistics.
void normalize_rows(const Rows& rows, const Forward& f, double eps, Moments& moments, const Statistics& out);
/// By moments that are given.
void normalize_rows(const Rows& rows, const Forward& f, const Moments& moments);
/// dx = rstd (w g - mean(w g) - xhat mean(w g xhat)), without the first mean where not centred; dweight =
/// sum g xhat, dbias = sum g, where g is dy as far as it passes what follows the norm.
void normalize_rows_backward(const Rows& rows, const Backward& b, const Moments& moments);

/// As for rows.
void normalize_channels(const Channels& shape, const Forward& f, double eps, Moments& moments,
                        const Statistics& out);
void normalize_channels(const Channels& shape, const Forward& f, const Moments& moments);
/// As for rows; with `constant_moments` (evaluation) dx = w rstd g.
void normalize_channels_backward(const Channels& shape, const Backward& b, const Moments& moments,
                                 bool constant_moments);

}  // namespace ballast::inline BALLAST_PRECISION
