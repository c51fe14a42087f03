#include <type_traits>
#include <utility>

#include <ballast/core/detail/compiler.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

constexpr int64_t group = lanes < 8 ? lanes : 8;  // indices, one byte each, that fit a machine word

template <int... I>
using int_list = std::integer_sequence<int, I...>;

// Vectors of L elements, and of the integers that comparisons give. Indices, which are bytes in memory, are
// widened and narrowed by shuffles: the compiler's conversions would go element by element.
template <int64_t L>
struct Group {
  using Real [[gnu::vector_size(L * sizeof(real))]] = real;
  using Whole = std::conditional_t<sizeof(real) == 4, int32_t, int64_t>;
  using Int [[gnu::vector_size(L * sizeof(real))]] = Whole;
  using Bytes [[gnu::vector_size(L * sizeof(real))]] = uint8_t;
  using Word = std::conditional_t<L == 8, uint64_t, std::conditional_t<L == 4, uint32_t, uint16_t>>;
  using Words [[gnu::vector_size(L * sizeof(real))]] = Word;
  using FewBytes [[gnu::vector_size(L)]] = uint8_t;

  // The vector types depend on L here, for which GCC would pass load_as the element type instead.
  template <class T>
  static T load(const void* from) {
    return load_as<T>(from);
  }
  template <class T>
  static void store(void* to, T v) {
    store_as<T>(to, v);
  }

  // Shuffles are cheap within 16 bytes. Every other element within these of two adjacent vectors gives the
  // windows in a permuted order: window w is element place(w).
  static constexpr int quad = 16 / int{sizeof(real)}, half = quad / 2;
  static constexpr int place(int w) {
    const int within = w % (int{L} / 2);
    return within / half * quad + within % half + w / (int{L} / 2) * half;
  }
  template <int... I>
  static Real every_other(Real a, Real b, int_list<I...>, auto offset) {
    return __builtin_shufflevector(
        a, b, (I / quad * quad + 2 * (I % half) + I % quad / half * int{L} + offset.value)...);
  }
  template <int... I>
  static Real in_order(Real v, int_list<I...>) {
    return __builtin_shufflevector(v, v, place(I)...);
  }
  // Interleaves L/2 elements of a and of b from `offset` on.
  template <int... I>
  static Real interleaved(Real a, Real b, int_list<I...>, auto offset) {
    return __builtin_shufflevector(a, b, (I / 2 + I % 2 * int{L} + offset.value)...);
  }

  // Index i in every byte of integer i.
  static Int load_indices(const uint8_t* from) {
    return load_indices(from, std::make_integer_sequence<int, int{L * sizeof(real)}>());
  }
  template <int... I>
  static Int load_indices(const uint8_t* from, int_list<I...>) {
    const Words words = load<Word>(from) - Words{};
    const Bytes repeated = load<Bytes>(&words);
    const Bytes bytes =
        __builtin_shufflevector(repeated, repeated, (I / int{L} * int{L} + I / int{sizeof(real)})...);
    return load<Int>(&bytes);
  }
  static Int everywhere(Whole byte) {
    return byte * static_cast<Whole>(~std::make_unsigned_t<Whole>{0} / 255) - Int{};
  }

  // Stores the indices, which are in the windows' permuted order, in order.
  template <int... I>
  static void store_indices(uint8_t* to, Int indices, int_list<I...>) {
    const Bytes bytes = load<Bytes>(&indices);
    store<FewBytes>(to, __builtin_shufflevector(bytes, bytes, (place(I) * int{sizeof(real)})...));
  }
};

template <int Value>
using Constant = std::integral_constant<int, Value>;

template <bool Least, class T>
inline auto wins(T v, T best) {
  return (Least ? v < best : v > best) | (v != v);
}

// The elements of L windows, in the windows' permuted order. `first` is the number of the first of them.
template <int64_t L>
struct Windows {
  using G = Group<L>;
  using Real = typename G::Real;
  using Int = typename G::Int;
  static constexpr auto indices = std::make_integer_sequence<int, int{L}>();
  static Real even(Real a, Real b) { return G::every_other(a, b, indices, Constant<0>()); }
  static Real odd(Real a, Real b) { return G::every_other(a, b, indices, Constant<1>()); }

  Real above[2], below[2];

  Windows(const real* row, const real* next) {
    const Real a0 = G::template load<Real>(row), a1 = G::template load<Real>(row + L);
    const Real b0 = G::template load<Real>(next), b1 = G::template load<Real>(next + L);
    above[0] = even(a0, a1), above[1] = odd(a0, a1);
    below[0] = even(b0, b1), below[1] = odd(b0, b1);
  }

  template <bool Least, bool Relu, bool Argmax>
  void pool(int64_t first, real* y, uint8_t* argmax) const {
    const Int right_above = wins<Least>(above[1], above[0]), right_below = wins<Least>(below[1], below[0]);
    const Real top = right_above ? above[1] : above[0], bottom = right_below ? below[1] : below[0];
    const Int lower = wins<Least>(bottom, top);
    Real best = lower ? bottom : top;
    Int is_zero = {};
    if constexpr (Relu) {
      is_zero = best <= 0;
      best = is_zero ? Real{} : best;
    }
    G::store(y + first, G::in_order(best, indices));
    if constexpr (Argmax) {
      const Int index = lower ? 2 - right_below : -right_above;  // true is -1
      //~ const Int index = lower ? -right_above : 2 - right_below;  // true is -1
      G::store_indices(argmax + first, is_zero ? Int{} + no_argmax : index, indices);
    }
  }
};

// One window.
template <>
struct Windows<1> {
  real values[4];
  Windows(const real* row, const real* next) : values{row[0], row[1], next[0], next[1]} {}

  template <bool Least, bool Relu, bool Argmax>
  void pool(int64_t first, real* y, uint8_t* argmax) const {
    uint8_t index = 0;
    for (uint8_t i = 1; i < 4; ++i) index = wins<Least>(values[i], values[index]) ? i : index;
    const bool is_zero = Relu && values[index] <= 0;
    y[first] = is_zero ? 0 : values[index];
    if constexpr (Argmax) argmax[first] = is_zero ? no_argmax : index;
  }
};

// Groups of L columns; the last one covers some columns twice.
template <int64_t L, class Groups, class Single>
inline void for_columns(int64_t columns, Groups several, Single one) {
  if (columns < L) {
    if constexpr (L > 4) return for_columns<L / 2>(columns, several, one);
    for (int64_t i = 0; i < columns; ++i) one(i);
    return;
  }
  for (int64_t i = 0; i + L <= columns; i += L) several(i, std::integral_constant<int64_t, L>());
  if (columns % L) several(columns - L, std::integral_constant<int64_t, L>());
}

// take(windows, first) gets the windows of the plane from number `first` on, some at a time.
template <class Take>
inline void for_windows(const PoolPlane& p, const real* x, Take take) {
  for (int64_t row = 0; row < p.rows; ++row, x += 2 * p.width) {
    const auto several = [=](int64_t i, auto size) {
      take(Windows<size.value>(x + 2 * i, x + p.width + 2 * i), row * p.columns + i);
    };
    for_columns<group>(p.columns, several, [=](int64_t i) { several(i, Constant<1>()); });
  }
}

template <bool Relu, bool Argmax>
void max_pool_plane(const PoolPlane& p, const real* x, real* y, uint8_t* argmax) {
  for_windows(p, x, [=](const auto& windows, int64_t i) {
    windows.template pool<false, Relu, Argmax>(i, y, argmax);
  });
}

template <bool Argmax>
void min_max_pool_plane(const PoolPlane& p, const real* x, real* low, real* high, uint8_t* argmin,
                        uint8_t* argmax) {
  for_windows(p, x, [=](const auto& windows, int64_t i) {
    windows.template pool<true, false, Argmax>(i, low, argmin);
    windows.template pool<false, false, Argmax>(i, high, argmax);
  });
}

template <int64_t L>
inline void spread(const real* dy, const uint8_t* argmax, real* above, real* below) {
  using G = Group<L>;
  using Real = typename G::Real;
  static constexpr auto indices = std::make_integer_sequence<int, int{L}>();
  const Real g = G::template load<Real>(dy);
  const auto index = G::load_indices(argmax);
  const auto put = [&](real* to, int first) {
    const Real left = index == G::everywhere(first) ? g : Real{};
    const Real right = index == G::everywhere(first + 1) ? g : Real{};
    G::store(to, G::interleaved(left, right, indices, Constant<0>()));
    G::store(to + L, G::interleaved(left, right, indices, Constant<int{L / 2}>()));
  };
  put(above, 0);
  put(below, 2);
}

}  // namespace

void max_pool(const PoolPlane& p, const real* x, bool relu, real* y, uint8_t* argmax) {
  if (argmax)
    return relu ? max_pool_plane<true, true>(p, x, y, argmax) : max_pool_plane<false, true>(p, x, y, argmax);
  return relu ? max_pool_plane<true, false>(p, x, y, nullptr)
              : max_pool_plane<false, false>(p, x, y, nullptr);
}

void min_max_pool(const PoolPlane& p, const real* x, real* low, real* high, uint8_t* argmin,
                  uint8_t* argmax) {
  if (argmax) return min_max_pool_plane<true>(p, x, low, high, argmin, argmax);
  min_max_pool_plane<false>(p, x, low, high, nullptr, nullptr);
}

void take_larger(int64_t count, const real* low, const real* low_kept, const uint8_t* argmin, real* y,
                 real* kept, uint8_t* argmax) {
  if (kept) {
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) argmax[i] = low[i] > y[i] ? argmin[i] : argmax[i];
    //~ for (int64_t i = 0; i < count; ++i) argmax[i] = low[i] < y[i] ? argmin[i] : argmax[i];
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) kept[i] = low[i] > y[i] ? low_kept[i] : kept[i];
    //~ for (int64_t i = 0; i < count; ++i) kept[i] = low[i] < y[i] ? low_kept[i] : kept[i];
  }
  BALLAST_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) y[i] = low[i] > y[i] ? low[i] : y[i];  // keeps NaN
  //~ for (int64_t i = 0; i < count; ++i) y[i] = low[i] < y[i] ? low[i] : y[i];
}

void max_pool_gradient(const PoolPlane& p, const real* dy, const uint8_t* argmax, real* dx) {
  for (int64_t row = 0; row < p.rows; ++row, dx += 2 * p.width, dy += p.columns, argmax += p.columns) {
    real *above = dx, *below = dx + p.width;
    for_columns<group>(
        p.columns,
        [=](int64_t i, auto size) { spread<size.value>(dy + i, argmax + i, above + 2 * i, below + 2 * i); },
        [=](int64_t i) {
          for (int column = 0; column < 2; ++column) {
            above[2 * i + column] = argmax[i] == column ? dy[i] : 0;
            below[2 * i + column] = argmax[i] == column + 2 ? dy[i] : 0;
          }
        });
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
