#include <ballast/layers/analysis/spectrum.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double normalize(Vector& x) {
  const double length = std::sqrt(dot(x, x));
  if (length > 0) {
    for (double& v : x) v /= length;
  }
  return length;
}

// No eigenvalue is larger in magnitude (Gershgorin).
double radius(const Tridiagonal& t) {
  double largest = 0;
  for (size_t i = 0; i < t.diagonal.size(); ++i) {
    const double left = i > 0 ? std::abs(t.beside[i - 1]) : 0;
    const double right = i < t.beside.size() ? std::abs(t.beside[i]) : 0;
    largest = std::max(largest, std::abs(t.diagonal[i]) + left + right);
  }
  return largest;
}

}  // namespace

int64_t Tridiagonal::count_below(double x) const {
  int64_t count = 0;
  double pivot = 1;
  for (size_t i = 0; i < diagonal.size(); ++i) {
    const double b = i > 0 ? beside[i - 1] : 0;
    pivot = diagonal[i] - x - b * b / pivot;
    if (pivot == 0) pivot = std::numeric_limits<double>::min();
    count += pivot < 0;
  }
  return count;
}

double Tridiagonal::eigenvalue(int64_t k) const {
  double high = radius(*this), low = -high;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (count_below(middle) > k ? high : low) = middle;
  }
  return high;
}

Vector Tridiagonal::top_eigenvector() const {
  // Just above the largest eigenvalue, s I - T is positive definite: elimination needs no pivoting.
  const double s = eigenvalue(size() - 1) + 1e-10 * radius(*this) + std::numeric_limits<double>::min();
  const size_t n = diagonal.size();
  Vector pivot(n), x(n);
  pivot[0] = s - diagonal[0];
  for (size_t i = 1; i < n; ++i) pivot[i] = s - diagonal[i] - beside[i - 1] * beside[i - 1] / pivot[i - 1];
  for (size_t i = 0; i < n; ++i) x[i] = 1 + 0.5 * std::sin(static_cast<double>(i));
  for (int iteration = 0; iteration < 4; ++iteration) {
    for (size_t i = 1; i < n; ++i) x[i] += beside[i - 1] / pivot[i - 1] * x[i - 1];
    x[n - 1] /= pivot[n - 1];
    for (size_t i = n - 1; i-- > 0;) x[i] = (x[i] + beside[i] * x[i + 1]) / pivot[i];
    normalize(x);
  }
  return x;
}

Tridiagonal tridiagonalize(Vector a, int64_t count) {
  const size_t n = static_cast<size_t>(count);
  Tridiagonal t;
  Vector v(n), w(n);
  for (size_t k = 0; k < n; ++k) {
    t.diagonal.push_back(a[k * n + k]);
    if (k + 1 == n) break;
    double squares = 0;
    for (size_t i = k + 1; i < n; ++i) {
      v[i] = a[i * n + k];
      squares += v[i] * v[i];
    }
    const double length = std::copysign(std::sqrt(squares), -v[k + 1]);
    t.beside.push_back(length);
    // The reflection I - 2 v v^T / |v|^2 takes column k to (length, 0, ..., 0) below the diagonal.
    v[k + 1] -= length;
    squares += length * length - 2 * length * a[(k + 1) * n + k];
    if (squares == 0) continue;
    double overlap = 0;
    for (size_t i = k + 1; i < n; ++i) {
      w[i] = 0;
      for (size_t j = k + 1; j < n; ++j) w[i] += a[i * n + j] * v[j];
      w[i] *= 2 / squares;
      overlap += w[i] * v[i];
    }
    for (size_t i = k + 1; i < n; ++i) w[i] -= overlap / squares * v[i];
    for (size_t i = k + 1; i < n; ++i) {
      for (size_t j = k + 1; j < n; ++j) a[i * n + j] -= v[i] * w[j] + w[i] * v[j];
    }
  }
  return t;
}

namespace {

constexpr double error_share = 0.01, failure_chance = 1e-9;

size_t lanczos_steps(int64_t n) {
  const double exponent = std::log(1.648 * std::sqrt(static_cast<double>(n)) / failure_chance);
  return static_cast<size_t>(std::ceil((exponent / std::sqrt(error_share) + 1) / 2));
}

// A of an affine map f, and its transpose.
class LinearPart {
 public:
  LinearPart(const std::function<Tensor(Tensor)>& f, const Shape& input) : f_(f), input_(input) {
    const EvalScope evaluating;
    offset_ = f(zeros(input));
  }

  Vector gram(const Vector& v) const {  // A^T A v
    Tape tape(Mode::eval);
    Tensor x = tensor_of(v);
    tape.watch(x);
    const Tensor y = f_(x);
    tape.backward(y, difference(y));
    const Tensor dx = tape.grad(x);
    if (dx.empty()) return Vector(v.size());
    return {dx.values().begin(), dx.values().end()};
  }

  double length(const Vector& v) const {  // |A v|
    const EvalScope evaluating;
    const Tensor y = difference(f_(tensor_of(v)));
    double squares = 0;
    for (const double value : y.values()) squares += value * value;
    return std::sqrt(squares);
  }

  Tensor tensor_of(const Vector& v) const {
    Tensor x(input_);
    std::transform(v.begin(), v.end(), x.data(), [](double value) { return static_cast<real>(value); });
    return x;
  }

 private:
  Tensor difference(const Tensor& y) const {
    Tensor d(y.shape());
    std::transform(y.values().begin(), y.values().end(), offset_.data(), d.data(), std::minus{});
    return d;
  }

  const std::function<Tensor(Tensor)>& f_;
  Shape input_;
  Tensor offset_;
};

Vector random_direction(const Shape& shape) {
  const Tensor x = randn(shape);
  Vector v(x.values().begin(), x.values().end());
  normalize(v);
  return v;
}

// Orthogonalizes w against the basis; twice, because rounding leaves too much after once.
void orthogonalize(Vector& w, const std::vector<Vector>& basis) {
  for (int pass = 0; pass < 2; ++pass) {
    for (const Vector& q : basis) {
      const double along = dot(w, q);
      for (size_t i = 0; i < w.size(); ++i) w[i] -= along * q[i];
    }
  }
}

// Orthonormal vectors Q with Q^T A^T A Q = T, from a random start.
struct Krylov {
  Krylov(const LinearPart& a, Vector start, size_t steps) {
    basis.push_back(std::move(start));
    while (true) {
      Vector w = a.gram(basis.back());
      t.diagonal.push_back(dot(w, basis.back()));
      orthogonalize(w, basis);
      const double left = normalize(w);
      const double noise =
          10 * std::numeric_limits<real>::epsilon() * *std::max_element(t.diagonal.begin(), t.diagonal.end());
      if (basis.size() == steps || left <= noise) return;  // no more to do, or nothing more to find
      t.beside.push_back(left);
      basis.push_back(std::move(w));
    }
  }
  std::vector<Vector> basis;
  Tridiagonal t;
};

}  // namespace

TopSingular top_singular(const std::function<Tensor(Tensor)>& f, const Shape& input) {
  const RestoreRandomState restore;
  manual_seed(0);
  const LinearPart a(f, input);
  const size_t steps = std::min(lanczos_steps(input.count()), static_cast<size_t>(input.count()));
  const Krylov krylov(a, random_direction(input), steps);
  const Vector z = krylov.t.top_eigenvector();
  Vector direction(krylov.basis[0].size());
  for (size_t j = 0; j < z.size(); ++j) {
    for (size_t i = 0; i < direction.size(); ++i) direction[i] += z[j] * krylov.basis[j][i];
  }
  normalize(direction);
  const double value = a.length(direction);
  return {value, value / std::sqrt(1 - error_share), a.tensor_of(direction)};
}

}  // namespace ballast::inline BALLAST_PRECISION
