#pragma once

#include <type_traits>
#include <utility>

#include <ballast/core/detail/compiler.h>
#include <ballast/core/kernels/kernels.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

// BALLAST_ISA is the instruction set that this file is compiled for, and the namespace of what it defines.
#if defined(__AVX512F__)
#define BALLAST_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BALLAST_VECTOR_BYTES 32
#else
#define BALLAST_VECTOR_BYTES 16
#endif

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

using Vector [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = real;
constexpr int64_t lanes = BALLAST_VECTOR_BYTES / sizeof(real);

/// A vector of `count` lanes of type T. (As a template argument, an alias template would lose the attribute.)
template <class T, int64_t count>
struct VectorOf {
  using Type [[gnu::vector_size(count * sizeof(T))]] = T;
};

template <class V>
constexpr int64_t lanes_of = sizeof(V) / sizeof(real);
template <class V>
using Widened = typename VectorOf<double, lanes_of<V>>::Type;

/// Loads and stores vectors of any type V, at any alignment.
template <class V>
inline V load_as(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}
template <class V>
inline void store_as(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof(V));
}
inline Vector load(const real* from) { return load_as<Vector>(from); }
inline void store(real* to, Vector v) { store_as<Vector>(to, v); }

inline Vector broadcast(real v) { return v - Vector{}; }

/// One signed integer per lane. A comparison gives -1 where it holds, else 0.
using Integers = decltype(Vector{} < Vector{});
using Integer = std::remove_cvref_t<decltype(Integers{}[0])>;

template <class Mask, class Lane, Lane... lane>
inline Mask first_lanes(int64_t count, std::integer_sequence<Lane, lane...>) {
  return Mask{lane...} < Mask{} + static_cast<Lane>(count);
}
/// -1 in the first `count` lanes, else 0.
template <class V = Vector>
inline auto first_lanes(int64_t count) {
  using Mask = decltype(V{} < V{});
  using Lane = std::remove_cvref_t<decltype(Mask{}[0])>;
  return first_lanes<Mask>(count, std::make_integer_sequence<Lane, sizeof(V) / sizeof(Lane)>());
}

/// Loads the first `count` lanes and reads nothing beyond them; the other lanes become `filler`.
inline Vector load_first(const real* from, int64_t count, real filler = 0) {
  if (count == lanes) return load(from);
#ifdef __AVX512F__
  const auto first = static_cast<uint16_t>((1u << count) - 1);
  if constexpr (sizeof(real) == sizeof(float)) {
    return reinterpret_cast<Vector>(
        _mm512_mask_loadu_ps(_mm512_set1_ps(static_cast<float>(filler)), first, from));
  } else {
    return reinterpret_cast<Vector>(
        _mm512_mask_loadu_pd(_mm512_set1_pd(filler), static_cast<uint8_t>(first), from));
  }
#elif defined(__AVX2__)
  const auto first = first_lanes(count);
  Vector v;
  if constexpr (sizeof(real) == sizeof(float)) {
    v = reinterpret_cast<Vector>(
        _mm256_maskload_ps(reinterpret_cast<const float*>(from), reinterpret_cast<__m256i>(first)));
  } else {
    v = reinterpret_cast<Vector>(
        _mm256_maskload_pd(reinterpret_cast<const double*>(from), reinterpret_cast<__m256i>(first)));
  }
  return first ? v : broadcast(filler);
#else
  Vector v = broadcast(filler);
  for (int64_t lane = 0; lane < lanes; ++lane)
    if (lane < count) v[lane] = from[lane];
  return v;
#endif
}

/// Stores the first `count` lanes.
inline void store_first(real* to, Vector v, int64_t count) {
  if (count == lanes) return store(to, v);
#ifdef __AVX512F__
  const auto first = static_cast<uint16_t>((1u << count) - 1);
  if constexpr (sizeof(real) == sizeof(float)) {
    _mm512_mask_storeu_ps(to, first, reinterpret_cast<__m512>(v));
  } else {
    _mm512_mask_storeu_pd(to, static_cast<uint8_t>(first), reinterpret_cast<__m512d>(v));
  }
#elif defined(__AVX2__)
  const auto first = reinterpret_cast<__m256i>(first_lanes(count));
  if constexpr (sizeof(real) == sizeof(float)) {
    _mm256_maskstore_ps(reinterpret_cast<float*>(to), first, reinterpret_cast<__m256>(v));
  } else {
    _mm256_maskstore_pd(reinterpret_cast<double*>(to), first, reinterpret_cast<__m256d>(v));
  }
#else
  for (int64_t lane = 0; lane < lanes; ++lane)
    if (lane < count) to[lane] = v[lane];
#endif
}

/// Non-temporal store. `to` must be aligned to a vector. Other threads may read it only after end_streams().
inline void stream(real* to, Vector v) {
#ifdef __SSE2__
  using Bits [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = long long;
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<Bits>(v));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<Bits>(v));
#else
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), reinterpret_cast<Bits>(v));
#endif
#else
  store(to, v);
#endif
}

#if defined(__AVX512F__)
using FloatRegister = __m512;
using DoubleRegister = __m512d;
#define BALLAST_INTRINSIC(name) _mm512_##name
#elif defined(__AVX2__)
using FloatRegister = __m256;
using DoubleRegister = __m256d;
#define BALLAST_INTRINSIC(name) _mm256_##name
#elif defined(__SSE2__)
using FloatRegister = __m128;
using DoubleRegister = __m128d;
#define BALLAST_INTRINSIC(name) _mm_##name
#endif

/// max: a > b ? a : b in each lane, min: a < b ? a : b; thus b where one of them is NaN. For a constant a or
/// b, GCC makes a comparison and a blend of these expressions instead of one instruction.
#ifdef __SSE2__
#define BALLAST_EXTREME(name, compare)                                                                    \
  inline Vector name(Vector a, Vector b) {                                                                \
    if constexpr (sizeof(real) == sizeof(float)) {                                                        \
      return reinterpret_cast<Vector>(BALLAST_INTRINSIC(name##_ps)(reinterpret_cast<FloatRegister>(a),    \
                                                                   reinterpret_cast<FloatRegister>(b)));  \
    } else {                                                                                              \
      return reinterpret_cast<Vector>(BALLAST_INTRINSIC(name##_pd)(reinterpret_cast<DoubleRegister>(a),   \
                                                                   reinterpret_cast<DoubleRegister>(b))); \
    }                                                                                                     \
  }
#else
#define BALLAST_EXTREME(name, compare) \
  inline Vector name(Vector a, Vector b) { return a compare b ? a : b; }
#endif
BALLAST_EXTREME(max, >)
BALLAST_EXTREME(min, <)
#undef BALLAST_EXTREME
#undef BALLAST_INTRINSIC

/// Columns of a panel.
constexpr int64_t panel = 2 * lanes;
/// The number of valid lanes where all are: a compile-time constant.
using AllLanes = std::integral_constant<int64_t, lanes>;

constexpr int64_t cache_line = 64, elements_per_cache_line = cache_line / sizeof(real);

/// Prefetch one cache line, or those of `count` elements, into L2 for reading. The address may be past the
/// end of the data: prefetching doesn't fault.
inline void prefetch(const real* at) { __builtin_prefetch(at, 0, 2); }
inline void prefetch_range(const real* from, int64_t count) {
  for (int64_t i = 0; i < count; i += elements_per_cache_line) prefetch(from + i);
}

template <class V, class Combine, int... I>
inline auto combined_lanes(V v, Combine combine, std::integer_sequence<int, I...>) {
  constexpr int half = sizeof...(I);
  if constexpr (half == 1) {
    return combine(v, __builtin_shufflevector(v, v, 1, 0))[0];
  } else {
    return combined_lanes(
        combine(__builtin_shufflevector(v, v, I...), __builtin_shufflevector(v, v, (I + half)...)), combine,
        std::make_integer_sequence<int, half / 2>());
  }
}

/// combine(...) of a vector's lanes, combining one half with the other until one lane is left.
template <class V, class Combine>
inline auto combined_lanes(V v, Combine combine) {
  constexpr int count = sizeof(V) / sizeof(v[0]);
  if constexpr (count == 1) {
    return v[0];
  } else {
    return combined_lanes(v, combine, std::make_integer_sequence<int, count / 2>());
  }
}

template <class V>
inline auto sum_of_lanes(V v) {
  return combined_lanes(v, [](auto a, auto b) { return a + b; });
}
/// The largest lane; NaN lanes may or may not count.
inline real largest_of_lanes(Vector v) {
  return combined_lanes(v, [](auto a, auto b) { return a > b ? a : b; });
}

/// The sum of a vector's lanes, in double.
template <class V>
inline double wide_sum_of_lanes(V v) {
  return sum_of_lanes(__builtin_convertvector(v, Widened<V>));
}

template <int Size, int... I>
inline void swap_blocks(Vector (&block)[lanes], std::integer_sequence<int, I...> indices) {
  constexpr int all = int{lanes};
  for (int row = 0; row < all; ++row) {
    if (row & Size) continue;
    const Vector a = block[row], b = block[row + Size];
    block[row] = __builtin_shufflevector(a, b, (I & Size ? I - Size + all : I)...);
    block[row + Size] = __builtin_shufflevector(a, b, (I & Size ? I + all : I + Size)...);
  }
  if constexpr (Size > 1) swap_blocks<Size / 2>(block, indices);
}

/// Transposes a block of lanes x lanes elements: of its 2 x 2 parts, the two off the diagonal are swapped,
/// then the same is done within each part (Eklundh 1972).
inline void transpose(Vector (&block)[lanes]) {
  swap_blocks<int{lanes} / 2>(block, std::make_integer_sequence<int, int{lanes}>());
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
