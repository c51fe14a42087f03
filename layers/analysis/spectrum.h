#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {

/// A symmetric tridiagonal matrix: its diagonal (n) and the elements beside it (n - 1).
struct Tridiagonal {
  std::vector<double> diagonal, beside;

  int64_t size() const { return static_cast<int64_t>(diagonal.size()); }
  /// Number of eigenvalues below x, by Sturm's sequence: the negative pivots of T - x I.
  int64_t count_below(double x) const;
  /// The k-th smallest eigenvalue, k = 0 ... n-1, by bisection.
  double eigenvalue(int64_t k) const;
  /// The unit eigenvector of the largest eigenvalue, by inverse iteration.
  std::vector<double> top_eigenvector() const;
};

/// The tridiagonal matrix with the eigenvalues of a symmetric one, row-major (n, n), by Householder's
/// reflections.
Tridiagonal tridiagonalize(std::vector<double> symmetric, int64_t n);

/// The largest singular value of the linear part of an affine map, and where it is attained.
struct TopSingular {
  double value;  // attained: |f(x + direction) - f(x)| for every x
  double bound;  // never exceeded, but for a chance of 1e-9; at most 0.51 % above the largest singular value
  Tensor direction;  // of length 1, in the map's input shape
};

/// Puts the random state back as it was.
struct RestoreRandomState {
  RandomState before = random_state();
  ~RestoreRandomState() { random_state() = before; }
};

/// By Lanczos's iteration on A^T A, where A is applied by calling f and A^T by a tape. From a random start, k
/// steps err by more than a share e of the eigenvalue with probability at most 1.648 sqrt(n) exp(-sqrt(e) (2k
/// - 1)) (Kuczynski & Wozniakowski 1992, theorem 4.2): k is chosen to make that 1e-9 for e = 0.01. The random
/// state is left as it was. Parameters that f uses should be frozen, or they collect gradients.
TopSingular top_singular(const std::function<Tensor(Tensor)>& f, const Shape& input);

}  // namespace ballast::inline BALLAST_PRECISION
