#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

// A vector of double, and as many elements.
using Doubles [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = double;
constexpr int64_t double_lanes = BALLAST_VECTOR_BYTES / sizeof(double);
using Few [[gnu::vector_size(double_lanes * sizeof(real))]] = real;
using UnalignedFew
    [[gnu::vector_size(double_lanes * sizeof(real)), gnu::aligned(sizeof(real)), gnu::may_alias]] = real;

inline Few load_few(const real* from) { return *reinterpret_cast<const UnalignedFew*>(from); }
inline Doubles widen(Few v) { return __builtin_convertvector(v, Doubles); }

// Several running sums, since one alone waits for each addition.
constexpr int64_t chains = 4;

struct Pair {
  Doubles a, b;
};

struct RunningSums {
  Doubles a[chains] = {}, b[chains] = {};
  void add(int64_t chain, Doubles to_a, Doubles to_b) { a[chain] += to_a, b[chain] += to_b; }
  Sums total() const {
    const Doubles sum_a = (a[0] + a[1]) + (a[2] + a[3]), sum_b = (b[0] + b[1]) + (b[2] + b[3]);
    Sums sums;
    for (int64_t lane = 0; lane < double_lanes; ++lane) sums.a += sum_a[lane], sums.b += sum_b[lane];
    return sums;
  }
};

// Sums over elements of vector(i), a pair of vectors of terms, and one(i), a pair of terms.
template <class Vectors, class Scalars>
[[gnu::always_inline]] inline Sums sum_pairs(int64_t count, Vectors vector, Scalars one) {
  RunningSums sums;
  int64_t i = 0;
  for (; i + chains * double_lanes <= count; i += chains * double_lanes) {
    for (int64_t chain = 0; chain < chains; ++chain) {
      const auto [a, b] = vector(i + chain * double_lanes);
      sums.add(chain, a, b);
    }
  }
  for (; i + double_lanes <= count; i += double_lanes) {
    const auto [a, b] = vector(i);
    sums.add(0, a, b);
  }
  Sums total = sums.total();
  for (; i < count; ++i) {
    const Sums term = one(i);
    total.a += term.a, total.b += term.b;
  }
  return total;
}

struct SharedAffine {
  real weight, bias;
  template <class V>
  V weights(int64_t) const {
    return weight - V{};
  }
  template <class V>
  V biases(int64_t) const {
    return bias - V{};
  }
};

struct OwnAffine {
  const real *weight, *bias;
  template <class V>
  V weights(int64_t i) const {
    V v;
    __builtin_memcpy(&v, weight + i, sizeof(V));
    return v;
  }
  template <class V>
  V biases(int64_t i) const {
    V v;
    __builtin_memcpy(&v, bias + i, sizeof(V));
    return v;
  }
};

// One vector type for whole vectors and one of a single lane for what is left at the end.
using One [[gnu::vector_size(sizeof(real))]] = real;

template <class V>
inline V load_as(const real* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}
template <class V>
inline void store_as(real* to, V v) {
  __builtin_memcpy(to, &v, sizeof(V));
}
template <class V>
constexpr int64_t lanes_of = sizeof(V) / sizeof(real);

template <class V>
inline V xhat(const Run& run, const real* x) {
  return ((load_as<V>(x) - run.high) - run.low) * run.rstd;
}

// weight xhat + bias, before it is cut off
template <class V, class Affine>
inline V value(Affine affine, V xh, int64_t i) {
  return xh * affine.template weights<V>(i) + affine.template biases<V>(i);
}

// What of dy passes the cut-off
template <class V, bool Relu, class Affine>
inline V passing(Affine affine, V xh, V dy, int64_t i) {
  if constexpr (Relu) return value<V>(affine, xh, i) <= 0 ? V{} : dy;
  return dy;
}

// Calls body with SharedAffine or OwnAffine and std::true_type-like Relu{}.
template <bool Value>
struct Bool {
  static constexpr bool value = Value;
};

template <class Body>
[[gnu::always_inline]] inline auto for_kind(const Run& run, Body body) {
  const SharedAffine shared = {run.weight, run.bias};
  const OwnAffine own = {run.weights, run.biases};
  if (run.weights) return run.relu ? body(own, Bool<true>()) : body(own, Bool<false>());
  return run.relu ? body(shared, Bool<true>()) : body(shared, Bool<false>());
}

template <bool Relu, class V, class Affine>
[[gnu::always_inline]] inline void normalize_at(const Run& run, Affine affine, const real* x, real* y,
                                                int64_t i) {
  const V v = value<V>(affine, xhat<V>(run, x + i), i);
  store_as<V>(y + i, Relu ? (v < 0 ? V{} : v) : v);
}

template <bool Relu, class V, class Affine>
[[gnu::always_inline]] inline void gradient_at(const Run& run, Affine affine, const real* x, const real* dy,
                                               real a, real b, real* dx, int64_t i) {
  const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
  store_as<V>(dx + i, (affine.template weights<V>(i) * g - a - xh * b) * run.rstd);
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, SharedAffine affine, const real* x,
                                           const real* dy) {
  return sum_pairs(
      run.count,
      [=, &run](int64_t i) {
        const Few xh = xhat<Few>(run, x + i), g = passing<Few, Relu>(affine, xh, load_few(dy + i), i);
        return Pair{widen(g), widen(g) * widen(xh)};
      },
      [=, &run](int64_t i) {
        const One xh = xhat<One>(run, x + i), g = passing<One, Relu>(affine, xh, load_as<One>(dy + i), i);
        return Sums{g[0], double{g[0]} * xh[0]};
      });
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, OwnAffine affine, const real* x, const real* dy,
                                           real* dweights, real* dbiases) {
  return sum_pairs(
      run.count,
      [=, &run](int64_t i) {
        const Few xh = xhat<Few>(run, x + i), g = passing<Few, Relu>(affine, xh, load_few(dy + i), i);
        store_as<Few>(dweights + i, load_few(dweights + i) + g * xh);
        store_as<Few>(dbiases + i, load_few(dbiases + i) + g);
        const Doubles weighted = widen(affine.weights<Few>(i) * g);
        return Pair{weighted, weighted * widen(xh)};
      },
      [=, &run](int64_t i) {
        const One xh = xhat<One>(run, x + i), g = passing<One, Relu>(affine, xh, load_as<One>(dy + i), i);
        dweights[i] += g[0] * xh[0], dbiases[i] += g[0];
        const double weighted = double{affine.weight[i]} * g[0];
        return Sums{weighted, weighted * xh[0]};
      });
}

}  // namespace

double sum(const real* x, int64_t count) {
  return sum_pairs(
             count,
             [=](int64_t i) {
               return Pair{widen(load_few(x + i)), Doubles{}};
             },
             [=](int64_t i) {
               return Sums{x[i], 0};
             })
      .a;
}

double dot(const real* x, const real* y, int64_t count) {
  return sum_pairs(
             count,
             [=](int64_t i) {
               return Pair{widen(load_few(x + i)) * widen(load_few(y + i)), Doubles{}};
             },
             [=](int64_t i) {
               return Sums{double{x[i]} * y[i], 0};
             })
      .a;
}

Sums deviations(const real* x, int64_t count, double shift) {
  return sum_pairs(
      count,
      [=](int64_t i) {
        const Doubles d = widen(load_few(x + i)) - shift;
        return Pair{d, d * d};
      },
      [=](int64_t i) {
        const double d = double{x[i]} - shift;
        return Sums{d, d * d};
      });
}

void normalize(const Run& run, const real* x, real* y) {
  for_kind(run, [&](auto affine, auto relu) {
    int64_t i = 0;
    for (; i + lanes <= run.count; i += lanes) normalize_at<relu.value, Vector>(run, affine, x, y, i);
    for (; i < run.count; ++i) normalize_at<relu.value, One>(run, affine, x, y, i);
  });
}

Sums gradient_sums(const Run& run, const real* x, const real* dy, real* dweights, real* dbiases) {
  if (run.weights) {
    const OwnAffine own = {run.weights, run.biases};
    return run.relu ? sums_of<true>(run, own, x, dy, dweights, dbiases)
                    : sums_of<false>(run, own, x, dy, dweights, dbiases);
  }
  const SharedAffine shared = {run.weight, run.bias};
  return run.relu ? sums_of<true>(run, shared, x, dy) : sums_of<false>(run, shared, x, dy);
}

void gradient(const Run& run, const real* x, const real* dy, real a, real b, real* dx) {
  for_kind(run, [&](auto affine, auto relu) {
    int64_t i = 0;
    for (; i + lanes <= run.count; i += lanes)
      gradient_at<relu.value, Vector>(run, affine, x, dy, a, b, dx, i);
    for (; i < run.count; ++i) gradient_at<relu.value, One>(run, affine, x, dy, a, b, dx, i);
  });
}

// By columns: plain loops, which the compiler turns into vectors.

namespace {

inline real column_xhat(const Columns& c, real x, int64_t i) {
  return ((x - c.high[i]) - c.low[i]) * c.rstd[i];
}
inline real column_value(const Columns& c, real xh, int64_t i) { return xh * c.weight[i] + c.bias[i]; }

}  // namespace

void column_deviations(const Columns& c, const real* x, const double* shift, double* __restrict a,
                       double* __restrict b) {
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride) {
    for (int64_t i = 0; i < c.columns; ++i) {
      const double d = double{x[i]} - shift[i];
      a[i] += d;
      b[i] += d * d;
    }
  }
}

void normalize_columns(const Columns& c, const real* x, real* __restrict y) {
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, y += c.stride) {
    for (int64_t i = 0; i < c.columns; ++i) {
      const real v = column_value(c, column_xhat(c, x[i], i), i);
      y[i] = c.relu && v < 0 ? 0 : v;
    }
  }
}

void column_gradient_sums(const Columns& c, const real* x, const real* dy, double* __restrict a,
                          double* __restrict b) {
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, dy += c.stride) {
    for (int64_t i = 0; i < c.columns; ++i) {
      const real xh = column_xhat(c, x[i], i);
      const double g = c.relu && column_value(c, xh, i) <= 0 ? 0 : dy[i];
      a[i] += g;
      b[i] += g * double{xh};
    }
  }
}

void column_gradient(const Columns& c, const real* x, const real* dy, const real* a, const real* b,
                     real* __restrict dx) {
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, dy += c.stride, dx += c.stride) {
    for (int64_t i = 0; i < c.columns; ++i) {
      const real xh = column_xhat(c, x[i], i);
      const real g = c.relu && column_value(c, xh, i) <= 0 ? 0 : dy[i];
      dx[i] = (c.weight[i] * g - a[i] - xh * b[i]) * c.rstd[i];
    }
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
