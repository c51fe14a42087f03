#include <type_traits>

#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/norm.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

// Column-wise norms: a strip of up to 64 columns is processed through all rows, with its statistics in
// registers or L1. It reads too little of each row for the hardware prefetcher to start, so the kernels that
// read the data first prefetch later rows.

namespace {

constexpr int64_t rows_ahead = 8;

// Calls body(first, V{}, size) for strips of `size` vectors V of `width` elements, from column `first` on.
// The remaining columns form strips of half as many vectors, and in the end of vectors half as wide.
template <int64_t width, int64_t size = 64 / width, class Body>
[[gnu::always_inline]] inline void for_strips(int64_t columns, Body body, int64_t first = 0) {
  using V = typename VectorOf<real, width>::Type;
  constexpr int64_t strip = size * width;
  for (; first + strip <= columns; first += strip) body(first, V{}, std::integral_constant<int64_t, size>());
  if constexpr (size > 1) {
    for_strips<width, size / 2>(columns, body, first);
  } else if constexpr (width > 1) {
    for_strips<width / 2, 1>(columns, body, first);
  }
}

template <class V>
struct ColumnValues {
  V high, low, rstd, weight, bias;
};

template <class V, int64_t size>
struct Strip {
  ColumnValues<V> values[size];
  Strip(const Columns& c, int64_t first) {
    for (int64_t j = 0; j < size; ++j) {
      const int64_t i = first + j * lanes_of<V>;
      values[j] = {load_as<V>(c.high + i), load_as<V>(c.low + i), load_as<V>(c.rstd + i),
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
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) BALLAST_ALWAYS_INLINE {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        const ColumnValues<V>& v = strip.values[j];
        store_as<V>(y + i, normalized<Relu>(v, v.weight, v.bias, load_as<V>(x + i)));
      }
    }
  });
}

template <bool Relu>
void column_gradient_sums_as(const Columns& c, const real* x, const real* dy, double* a, double* b) {
  constexpr int64_t block = 16;  // rows summed up in `real` before they are added to the double
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) BALLAST_ALWAYS_INLINE {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    for (int64_t begin = 0; begin < c.rows; begin += block) {
      V sum_a[size] = {}, sum_b[size] = {};
      for (int64_t row = begin; row < least(begin + block, c.rows); ++row) {
        const int64_t ahead = (row + rows_ahead) * c.stride + first;
        prefetch_range(x + ahead, size * lanes_of<V>);
        prefetch_range(dy + ahead, size * lanes_of<V>);
        for (int64_t j = 0; j < size; ++j) {
          const int64_t i = row * c.stride + first + j * lanes_of<V>;
          const ColumnValues<V>& v = strip.values[j];
          const V xh = xhat(v, load_as<V>(x + i));
          const V g = passing<Relu>(v.weight, v.bias, xh, load_as<V>(dy + i));
          //~ const V g = passing<false>(v.weight, v.bias, xh, load_as<V>(dy + i));
          sum_a[j] += g;
          sum_b[j] += g * xh;
        }
      }
      for (int64_t j = 0; j < size; ++j) {
        add_to(a + first + j * lanes_of<V>, sum_a[j]);
        add_to(b + first + j * lanes_of<V>, sum_b[j]);
      }
    }
  });
}

template <bool Relu>
void column_gradient_as(const Columns& c, const real* x, const real* dy, const real* a, const real* b,
                        real* dx) {
  for_strips<lanes>(c.columns, [=](int64_t first, auto kind, auto size) BALLAST_ALWAYS_INLINE {
    using V = decltype(kind);
    const Strip<V, size> strip(c, first);
    V mean_a[size], mean_b[size];
    for (int64_t j = 0; j < size; ++j) {
      mean_a[j] = load_as<V>(a + first + j * lanes_of<V>);
      mean_b[j] = load_as<V>(b + first + j * lanes_of<V>);
      //~ mean_b[j] = V{};
    }
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        const ColumnValues<V>& v = strip.values[j];
        store_as<V>(dx + i, gradient_of<Relu>(v, v.weight, v.bias, load_as<V>(x + i), load_as<V>(dy + i),
                                              mean_a[j], mean_b[j]));
      }
    }
  });
}

}  // namespace

void column_deviations(const Columns& c, const real* x, const double* shift, double* a, double* b) {
  for_strips<double_lanes>(c.columns, [=](int64_t first, auto kind, auto size) BALLAST_ALWAYS_INLINE {
    using V = decltype(kind);
    using Wide = Widened<V>;
    Wide about[size], sum_a[size] = {}, sum_b[size] = {};
    for (int64_t j = 0; j < size; ++j) about[j] = load_as<Wide>(shift + first + j * lanes_of<V>);
    for (int64_t row = 0; row < c.rows; ++row) {
      prefetch_range(x + (row + rows_ahead) * c.stride + first, size * lanes_of<V>);
      for (int64_t j = 0; j < size; ++j) {
        const int64_t i = row * c.stride + first + j * lanes_of<V>;
        const Wide d = load_wide_as<Wide>(x + i) - about[j];
        sum_a[j] += d;
        sum_b[j] += d * d;
      }
    }
    for (int64_t j = 0; j < size; ++j) {
      const int64_t i = first + j * lanes_of<V>;
      store_as<Wide>(a + i, load_as<Wide>(a + i) + sum_a[j]);
      store_as<Wide>(b + i, load_as<Wide>(b + i) + sum_b[j]);
    }
  });
}

void column_sums(int64_t rows, int64_t columns, int64_t stride, const real* x, double* sums) {
  constexpr int64_t strip = 64;  // costs no more than a narrower one
  if (const int64_t rest = columns % strip; rest > 0 && columns > strip) {  // the overlap is computed twice
    const int64_t last = columns - strip;
    column_sums(rows, strip, stride, x + last, sums + last);
    columns -= rest;
  }
  for_strips<double_lanes>(columns, [=](int64_t first, auto kind, auto size) BALLAST_ALWAYS_INLINE {
    using V = decltype(kind);
    using Wide = Widened<V>;
    Wide sum[size] = {};
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t j = 0; j < size; ++j)
        sum[j] += load_wide_as<Wide>(x + row * stride + first + j * lanes_of<V>);
    }
    for (int64_t j = 0; j < size; ++j) store_as<Wide>(sums + first + j * lanes_of<V>, sum[j]);
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
}  // namespace ballast::inline BALLAST_PRECISION::detail
