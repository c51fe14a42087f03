#include <type_traits>
#include <utility>

#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

// Vectors of L elements, of as many winners, and the integers that comparing elements gives.
template <int64_t L>
struct Group {
  using Real [[gnu::vector_size(L * sizeof(real))]] = real;
  using Bytes [[gnu::vector_size(L)]] = uint8_t;
  using Whole = std::conditional_t<sizeof(real) == 4, int32_t, int64_t>;
  using Int [[gnu::vector_size(L * sizeof(real))]] = Whole;

  template <class T>
  static T load(const void* from) {
    T v;
    __builtin_memcpy(&v, from, sizeof(T));
    return v;
  }
  template <class T>
  static void store(void* to, T v) {
    __builtin_memcpy(to, &v, sizeof(T));
  }

  // Elements offset, offset + 2, ... of 2 L neighbours
  template <int... I>
  static Real every_other(Real a, Real b, std::integer_sequence<int, I...>, auto offset) {
    return __builtin_shufflevector(a, b, (2 * I + offset.value)...);
  }
  // a and b in turn, from the L/2 elements behind `offset` on
  template <int... I>
  static Real in_turn(Real a, Real b, std::integer_sequence<int, I...>, auto offset) {
    return __builtin_shufflevector(a, b, (I / 2 + I % 2 * int{L} + offset.value)...);
  }
};

template <int Value>
using Constant = std::integral_constant<int, Value>;

template <class T>
inline auto wins(T v, T best) {
  return (v > best) | (v != v);
}

template <int64_t L, bool Relu>
inline void pool(const real* above, const real* below, real* y, uint8_t* winners) {
  using G = Group<L>;
  using Real = typename G::Real;
  using Int = typename G::Int;
  constexpr auto indices = std::make_integer_sequence<int, int{L}>();
  const auto even = [](Real a, Real b) { return G::every_other(a, b, indices, Constant<0>()); };
  const auto odd = [](Real a, Real b) { return G::every_other(a, b, indices, Constant<1>()); };
  const Real a0 = G::template load<Real>(above), a1 = G::template load<Real>(above + L);
  const Real b0 = G::template load<Real>(below), b1 = G::template load<Real>(below + L);
  const Int right_above = wins(odd(a0, a1), even(a0, a1)), right_below = wins(odd(b0, b1), even(b0, b1));
  const Real top = right_above ? odd(a0, a1) : even(a0, a1),
             bottom = right_below ? odd(b0, b1) : even(b0, b1);
  const Int low = wins(bottom, top);
  Real best = low ? bottom : top;
  Int winner = low ? 2 - right_below : -right_above;  // true is -1
  if constexpr (Relu) {
    const Int dead = best <= 0;
    best = dead ? Real{} : best;
    winner = dead ? Int{} + no_winner : winner;
  }
  G::store(y, best);
  G::store(winners, __builtin_convertvector(winner, typename G::Bytes));
}

template <bool Relu>
inline void pool_one(const real* above, const real* below, real* y, uint8_t* winners) {
  const real values[] = {above[0], above[1], below[0], below[1]};
  uint8_t winner = 0;
  for (uint8_t i = 1; i < 4; ++i) winner = wins(values[i], values[winner]) ? i : winner;
  const bool dead = Relu && values[winner] <= 0;
  *y = dead ? 0 : values[winner];
  *winners = dead ? no_winner : winner;
}

// Groups of L columns; the last one covers some columns twice.
template <int64_t L, class Groups, class Single>
inline void for_columns(int64_t columns, Groups group, Single one) {
  if (columns < L) {
    if constexpr (L > 4) return for_columns<L / 2>(columns, group, one);
    for (int64_t i = 0; i < columns; ++i) one(i);
    return;
  }
  for (int64_t i = 0; i + L <= columns; i += L) group(i, std::integral_constant<int64_t, L>());
  if (columns % L) group(columns - L, std::integral_constant<int64_t, L>());
}

template <bool Relu>
void pool_columns(int64_t columns, const real* above, const real* below, real* y, uint8_t* winners) {
  for_columns<lanes>(
      columns,
      [=](int64_t i, auto group) {
        pool<group.value, Relu>(above + 2 * i, below + 2 * i, y + i, winners + i);
      },
      [=](int64_t i) { pool_one<Relu>(above + 2 * i, below + 2 * i, y + i, winners + i); });
}

template <int64_t L>
inline void spread(const real* dy, const uint8_t* winners, real* above, real* below) {
  using G = Group<L>;
  using Real = typename G::Real;
  constexpr auto indices = std::make_integer_sequence<int, int{L}>();
  const Real g = G::template load<Real>(dy);
  const auto winner = __builtin_convertvector(G::template load<typename G::Bytes>(winners), typename G::Int);
  const auto put = [&](real* to, int first) {
    const Real left = winner == first ? g : Real{}, right = winner == first + 1 ? g : Real{};
    G::store(to, G::in_turn(left, right, indices, Constant<0>()));
    G::store(to + L, G::in_turn(left, right, indices, Constant<int{L / 2}>()));
  };
  put(above, 0);
  put(below, 2);
}

}  // namespace

void max_pool(int64_t columns, const real* above, const real* below, bool relu, real* y, uint8_t* winners) {
  return relu ? pool_columns<true>(columns, above, below, y, winners)
              : pool_columns<false>(columns, above, below, y, winners);
}

void max_pool_gradient(int64_t columns, const real* dy, const uint8_t* winners, real* above, real* below) {
  for_columns<lanes>(
      columns,
      [=](int64_t i, auto group) { spread<group.value>(dy + i, winners + i, above + 2 * i, below + 2 * i); },
      [=](int64_t i) {
        for (int tap = 0; tap < 4; ++tap)
          (tap < 2 ? above : below)[2 * i + tap % 2] = winners[i] == tap ? dy[i] : 0;
      });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
