#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

using Doubles [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = double;
constexpr int64_t double_lanes = BALLAST_VECTOR_BYTES / sizeof(double);

// So many elements in double: written in this way, one instruction loads and converts them.
template <int... I>
inline Doubles load_wide(const real* from, std::integer_sequence<int, I...>) {
  return Doubles{from[I]...};
}
inline Doubles load_wide(const real* from) {
  return load_wide(from, std::make_integer_sequence<int, int{double_lanes}>());
}

// Several running sums, since one alone waits for each addition.
constexpr int64_t chains = 4;

template <class V>
struct Terms {
  V a, b;
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

double sum_of(Vector v) {
  double sum = 0;
  for (int64_t lane = 0; lane < lanes; ++lane) sum += v[lane];
  return sum;
}

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
    return load_as<V>(weight + i);
  }
  template <class V>
  V biases(int64_t i) const {
    return load_as<V>(bias + i);
  }
};

// One vector type for whole vectors and one of a single lane for what is left at the end.
using One [[gnu::vector_size(sizeof(real))]] = real;

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
[[gnu::always_inline]] inline V normalize_at(const Run& run, Affine affine, const real* x, int64_t i) {
  const V v = value<V>(affine, xhat<V>(run, x + i), i);
  return Relu ? (v < 0 ? V{} : v) : v;
}

template <bool Relu, class V, class Affine>
[[gnu::always_inline]] inline V gradient_at(const Run& run, Affine affine, const real* x, const real* dy,
                                            real a, real b, int64_t i) {
  const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
  return (affine.template weights<V>(i) * g - a - xh * b) * run.rstd;
}

void call_for(const real* from, int64_t count) {
  for (int64_t i = 0; i < count; i += line_size) prefetch(from + i);
}

// y[i] = element(i, V{}), a vector V of elements from i on. Past the caches it goes at the pace of memory,
// so that call_ahead(i, count) may call for `count` elements that are read later.
template <class Element, class Ahead>
[[gnu::always_inline]] inline void write_run(const Run& run, real* y, Element element, Ahead call_ahead) {
  int64_t i = 0;
  if (run.stream) {
    constexpr int64_t step = 4 * lanes;
    for (; i < run.count && reinterpret_cast<uintptr_t>(y + i) % sizeof(Vector) != 0; ++i)
      store_as<One>(y + i, element(i, One{}));
    for (; i + step <= run.count; i += step) {
      call_ahead(i, step);
      for (int64_t j = i; j < i + step; j += lanes) stream(y + j, element(j, Vector{}));
    }
    for (; i + lanes <= run.count; i += lanes) stream(y + i, element(i, Vector{}));
  }
#pragma GCC unroll 4
  for (; i + lanes <= run.count; i += lanes) store(y + i, element(i, Vector{}));
  for (; i < run.count; ++i) store_as<One>(y + i, element(i, One{}));
}

// Sums over elements of terms(i), a pair of vectors V: in the precision of elements over stretches so short
// that little is lost, in double over these.
template <class Terms>
[[gnu::always_inline]] inline Sums sum_in_blocks(int64_t count, Terms terms) {
  constexpr int64_t block = 16 * chains * lanes;
  Sums total;
  int64_t i = 0;
  while (i + chains * lanes <= count) {
    Vector a[chains] = {}, b[chains] = {};
    const int64_t end = least(count - chains * lanes + 1, i + block);
    for (; i < end; i += chains * lanes) {
      for (int64_t chain = 0; chain < chains; ++chain) {
        const auto [to_a, to_b] = terms(i + chain * lanes, Vector{});
        a[chain] += to_a, b[chain] += to_b;
      }
    }
    total.a += sum_of((a[0] + a[1]) + (a[2] + a[3]));
    total.b += sum_of((b[0] + b[1]) + (b[2] + b[3]));
  }
  for (; i < count; ++i) {
    const auto [to_a, to_b] = terms(i, One{});
    total.a += to_a[0], total.b += to_b[0];
  }
  return total;
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, SharedAffine affine, const real* x,
                                           const real* dy) {
  return sum_in_blocks(run.count, [=, &run](int64_t i, auto kind) {
    using V = decltype(kind);
    const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
    return Terms<V>{g, g * xh};
  });
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, OwnAffine affine, const real* x, const real* dy,
                                           real* dweights, real* dbiases) {
  return sum_in_blocks(run.count, [=, &run](int64_t i, auto kind) {
    using V = decltype(kind);
    const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
    store_as<V>(dweights + i, load_as<V>(dweights + i) + g * xh);
    store_as<V>(dbiases + i, load_as<V>(dbiases + i) + g);
    const V weighted = affine.weights<V>(i) * g;
    return Terms<V>{weighted, weighted * xh};
  });
}

}  // namespace

double sum(const real* x, int64_t count) {
  return sum_pairs(
             count,
             [=](int64_t i) {
               return Terms<Doubles>{load_wide(x + i), Doubles{}};
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
               return Terms<Doubles>{load_wide(x + i) * load_wide(y + i), Doubles{}};
             },
             [=](int64_t i) {
               return Sums{double{x[i]} * y[i], 0};
             })
      .a;
}

Sums deviations(const real* x, int64_t count, double shift) {
  constexpr int64_t ahead = 1024;  // further than the processor's own prefetching looks
  return sum_pairs(
      count,
      [=](int64_t i) {
        if (i % line_size == 0) prefetch(x + i + ahead);
        const Doubles d = load_wide(x + i) - shift;
        return Terms<Doubles>{d, d * d};
      },
      [=](int64_t i) {
        const double d = double{x[i]} - shift;
        return Sums{d, d * d};
      });
}

void end_streams() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// Below, a copy of `given` is what no store to memory can change, so that the loops keep it in registers.

void normalize(const Run& given, const real* x, real* y) {
  const Run run = given;
  for_kind(run, [&](auto affine, auto relu) {
    write_run(
        run, y,
        [&](int64_t i, auto kind)
            [[gnu::always_inline]] { return normalize_at<relu.value, decltype(kind)>(run, affine, x, i); },
        [&](int64_t i, int64_t count) { call_for(x + run.x_ahead + i, count); });
  });
}

Sums gradient_sums(const Run& given, const real* x, const real* dy, real* dweights, real* dbiases) {
  const Run run = given;
  if (run.weights) {
    const OwnAffine own = {run.weights, run.biases};
    return run.relu ? sums_of<true>(run, own, x, dy, dweights, dbiases)
                    : sums_of<false>(run, own, x, dy, dweights, dbiases);
  }
  const SharedAffine shared = {run.weight, run.bias};
  return run.relu ? sums_of<true>(run, shared, x, dy) : sums_of<false>(run, shared, x, dy);
}

void gradient(const Run& given, const real* x, const real* dy, real a, real b, real* dx) {
  const Run run = given;
  for_kind(run, [&](auto affine, auto relu) {
    write_run(
        run, dx,
        [&](int64_t i, auto kind) [[gnu::always_inline]] {
          return gradient_at<relu.value, decltype(kind)>(run, affine, x, dy, a, b, i);
        },
        [&](int64_t i, int64_t count) {
          call_for(x + run.x_ahead + i, count);
          call_for(dy + run.dy_ahead + i, count);
        });
  });
}

// By columns: plain loops, which the compiler turns into vectors. A row's few columns end before the
// processor has noticed that they are read in order, so passes that meet the data first call for rows ahead.

namespace {

constexpr int64_t rows_ahead = 8;

struct ColumnRow {
  const real* __restrict high, * __restrict low, * __restrict rstd, * __restrict weight, * __restrict bias;
  explicit ColumnRow(const Columns& c)
      : high(c.high), low(c.low), rstd(c.rstd), weight(c.weight), bias(c.bias) {}

  [[gnu::always_inline]] real xhat(real x, int64_t i) const { return ((x - high[i]) - low[i]) * rstd[i]; }
  template <bool Relu>
  [[gnu::always_inline]] real value(real xh, int64_t i) const {
    const real v = xh * weight[i] + bias[i];
    return Relu && v < 0 ? 0 : v;
  }
  template <bool Relu>
  [[gnu::always_inline]] real passing(real xh, real dy, int64_t i) const {
    if constexpr (Relu) return xh * weight[i] + bias[i] <= 0 ? 0 : dy;
    return dy;
  }
};

template <bool Relu>
void normalize_columns_as(const Columns& c, const real* x, real* __restrict y) {
  const ColumnRow r(c);
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, y += c.stride) {
    for (int64_t i = 0; i < c.columns; ++i) y[i] = r.value<Relu>(r.xhat(x[i], i), i);
  }
}

template <bool Relu>
void column_gradient_sums_as(const Columns& c, const real* __restrict x, const real* __restrict dy,
                             double* __restrict a, double* __restrict b) {
  const ColumnRow r(c);
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, dy += c.stride) {
    call_for(x + rows_ahead * c.stride, c.columns);
    call_for(dy + rows_ahead * c.stride, c.columns);
    for (int64_t i = 0; i < c.columns; ++i) {
      const real xh = r.xhat(x[i], i), g = r.passing<Relu>(xh, dy[i], i);
      a[i] += double{g};
      b[i] += double{g} * double{xh};
    }
  }
}

template <bool Relu>
void column_gradient_as(const Columns& c, const real* x, const real* dy, const real* __restrict a,
                        const real* __restrict b, real* dx) {
  const ColumnRow r(c);
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride, dy += c.stride, dx += c.stride) {
#pragma GCC ivdep  // dx is x or apart from it
    for (int64_t i = 0; i < c.columns; ++i) {
      const real xh = r.xhat(x[i], i), g = r.passing<Relu>(xh, dy[i], i);
      dx[i] = (r.weight[i] * g - a[i] - xh * b[i]) * r.rstd[i];
    }
  }
}

}  // namespace

void column_deviations(const Columns& c, const real* __restrict x, const double* __restrict shift,
                       double* __restrict a, double* __restrict b) {
  for (int64_t row = 0; row < c.rows; ++row, x += c.stride) {
    call_for(x + rows_ahead * c.stride, c.columns);
    for (int64_t i = 0; i < c.columns; ++i) {
      const double d = double{x[i]} - shift[i];
      a[i] += d;
      b[i] += d * d;
    }
  }
}

void normalize_columns(const Columns& c, const real* x, real* y) {
  return c.relu ? normalize_columns_as<true>(c, x, y) : normalize_columns_as<false>(c, x, y);
}

void column_gradient_sums(const Columns& c, const real* x, const real* dy, double* a, double* b) {
  return c.relu ? column_gradient_sums_as<true>(c, x, dy, a, b)
                : column_gradient_sums_as<false>(c, x, dy, a, b);
}

void column_gradient(const Columns& c, const real* x, const real* dy, const real* a, const real* b,
                     real* dx) {
  return c.relu ? column_gradient_as<true>(c, x, dy, a, b, dx)
                : column_gradient_as<false>(c, x, dy, a, b, dx);
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
