#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

using Doubles [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = double;
constexpr int64_t double_lanes = BALLAST_VECTOR_BYTES / sizeof(double);

// So many elements in double: written in this way, one instruction loads and converts them.
template <class Wide, int... I>
inline Wide load_wide_as(const real* from, std::integer_sequence<int, I...>) {
  return Wide{from[I]...};
}
template <class Wide>
inline Wide load_wide_as(const real* from) {
  return load_wide_as<Wide>(from, std::make_integer_sequence<int, int{sizeof(Wide) / sizeof(double)}>());
}
inline Doubles load_wide(const real* from) { return load_wide_as<Doubles>(from); }

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

// One run's numbers are scalars, those of columns vectors.
template <class V, class Numbers>
inline V xhat(const Numbers& n, const real* x) {
  return ((load_as<V>(x) - n.high) - n.low) * n.rstd;
}

// weight xhat + bias, before it is cut off
template <class V, class Affine>
inline V value(const Affine& affine, V xh, int64_t i) {
  return xh * affine.template weights<V>(i) + affine.template biases<V>(i);
}

// What of dy passes the cut-off
template <class V, bool Relu, class Affine>
inline V passing(const Affine& affine, V xh, V dy, int64_t i) {
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

template <bool Relu, class V, class Numbers, class Affine>
[[gnu::always_inline]] inline V normalize_at(const Numbers& n, const Affine& affine, const real* x,
                                             int64_t i) {
  const V v = value<V>(affine, xhat<V>(n, x + i), i);
  return Relu ? (v < 0 ? V{} : v) : v;
}

template <bool Relu, class V, class Numbers, class Affine, class Mean>
[[gnu::always_inline]] inline V gradient_at(const Numbers& n, const Affine& affine, const real* x,
                                            const real* dy, Mean a, Mean b, int64_t i) {
  const V xh = xhat<V>(n, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
  return (affine.template weights<V>(i) * g - a - xh * b) * n.rstd;
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

// By columns: a strip of some vectors of columns goes down all rows, with its numbers in registers or close
// to them. What a strip reads of a row ends before the processor has noticed that it is read in order, so
// passes that meet the data first call for rows ahead.

namespace {

constexpr int64_t rows_ahead = 8;

template <class T, int64_t count>
struct VectorOf {
  using Type [[gnu::vector_size(count * sizeof(T))]] = T;
};

template <class V>
constexpr int64_t lanes_of = sizeof(V) / sizeof(real);
template <class V>
using Widened = typename VectorOf<double, lanes_of<V>>::Type;

// Calls body(first, V{}, size) for strips of `size` vectors V, from column `first` on: of 64 columns in
// vectors of `width`, and of one vector, the widest there is, for what is left.
template <int64_t width, class Body>
[[gnu::always_inline]] inline void for_narrow_strips(int64_t first, int64_t columns, Body body) {
  using V = typename VectorOf<real, width>::Type;
  for (; first + width <= columns; first += width) body(first, V{}, std::integral_constant<int, 1>());
  if constexpr (width > 1) for_narrow_strips<width / 2>(first, columns, body);
}
template <int64_t width, class Body>
[[gnu::always_inline]] inline void for_strips(int64_t columns, Body body) {
  using V = typename VectorOf<real, width>::Type;
  constexpr int size = 64 / width;
  int64_t first = 0;
  for (; first + size * width <= columns; first += size * width)
    body(first, V{}, std::integral_constant<int, size>());
  for_narrow_strips<width>(first, columns, body);
}

template <class V>
struct ColumnNumbers {
  V high, low, rstd, weight, bias;
  template <class>
  V weights(int64_t) const {
    return weight;
  }
  template <class>
  V biases(int64_t) const {
    return bias;
  }
};

template <class V, int size>
struct Strip {
  ColumnNumbers<V> numbers[size];
  Strip(const Columns& c, int64_t first) {
    for (int j = 0; j < size; ++j) {
      const int64_t i = first + j * lanes_of<V>;
      numbers[j] = {load_as<V>(c.high + i), load_as<V>(c.low + i), load_as<V>(c.rstd + i),
                    load_as<V>(c.weight + i), load_as<V>(c.bias + i)};
    }
  }
};

// to[i] += v[i]
template <class V>
inline void add_to(double* to, V v) {
  for (int64_t lane = 0; lane < lanes_of<V>; ++lane) to[lane] += v[lane];
}

template <bool Relu>
void normalize_columns_as(const Columns& c, const real* x, real* y) {
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) [[gnu::always_inline]] {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        store_as<V>(y + i, normalize_at<Relu, V>(strip.numbers[j], strip.numbers[j], x, i));
      }
    }
  });
}

template <bool Relu>
void column_gradient_sums_as(const Columns& c, const real* x, const real* dy, double* a, double* b) {
  constexpr int64_t block = 16;  // rows whose sums lose little in the precision of elements
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) [[gnu::always_inline]] {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    for (int64_t begin = 0; begin < c.rows; begin += block) {
      V sum_a[size] = {}, sum_b[size] = {};
      for (int64_t row = begin; row < least(begin + block, c.rows); ++row) {
        const int64_t ahead = (row + rows_ahead) * c.stride + first;
        call_for(x + ahead, size * lanes_of<V>);
        call_for(dy + ahead, size * lanes_of<V>);
        for (int j = 0; j < size; ++j) {
          const int64_t i = row * c.stride + first + j * lanes_of<V>;
          const V xh = xhat<V>(strip.numbers[j], x + i),
                  g = passing<V, Relu>(strip.numbers[j], xh, load_as<V>(dy + i), 0);
          sum_a[j] += g;
          sum_b[j] += g * xh;
        }
      }
      for (int j = 0; j < size; ++j) {
        add_to(a + first + j * lanes_of<V>, sum_a[j]);
        add_to(b + first + j * lanes_of<V>, sum_b[j]);
      }
    }
  });
}

template <bool Relu>
void column_gradient_as(const Columns& c, const real* x, const real* dy, const real* a, const real* b,
                        real* dx) {
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) [[gnu::always_inline]] {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    V mean_a[size], mean_b[size];
    for (int j = 0; j < size; ++j) {
      mean_a[j] = load_as<V>(a + first + j * lanes_of<V>);
      mean_b[j] = load_as<V>(b + first + j * lanes_of<V>);
    }
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        store_as<V>(dx + i,
                    gradient_at<Relu, V>(strip.numbers[j], strip.numbers[j], x, dy, mean_a[j], mean_b[j], i));
      }
    }
  });
}

}  // namespace

void column_deviations(const Columns& c, const real* x, const double* shift, double* a, double* b) {
  for_strips<double_lanes>(c.columns, [=](int64_t first, auto kind, auto size) [[gnu::always_inline]] {
    using V = decltype(kind);
    using Wide = Widened<V>;
    Wide about[size], sum_a[size] = {}, sum_b[size] = {};
    for (int j = 0; j < size; ++j) about[j] = load_as<Wide>(shift + first + j * lanes_of<V>);
    for (int64_t row = 0; row < c.rows; ++row) {
      call_for(x + (row + rows_ahead) * c.stride + first, size * lanes_of<V>);
      for (int j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        const Wide d = load_wide_as<Wide>(x + i) - about[j];
        sum_a[j] += d;
        sum_b[j] += d * d;
      }
    }
    for (int j = 0; j < size; ++j) {
      const int64_t i = first + j * lanes_of<V>;
      store_as<Wide>(a + i, load_as<Wide>(a + i) + sum_a[j]);
      store_as<Wide>(b + i, load_as<Wide>(b + i) + sum_b[j]);
    }
  });
}

void column_sums(int64_t rows, int64_t columns, int64_t stride, const real* x, double* sums) {
  for_strips<double_lanes>(columns, [=](int64_t first, auto kind, auto size) [[gnu::always_inline]] {
    using V = decltype(kind);
    using Wide = Widened<V>;
    Wide sum[size] = {};
    for (int64_t row = 0; row < rows; ++row) {
      for (int j = 0; j < size; ++j) sum[j] += load_wide_as<Wide>(x + row * stride + first + j * lanes_of<V>);
    }
    for (int j = 0; j < size; ++j) store_as<Wide>(sums + first + j * lanes_of<V>, sum[j]);
  });
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
