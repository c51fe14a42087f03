#pragma once

#include <utility>

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

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {

using Vector [[gnu::vector_size(BALLAST_VECTOR_BYTES)]] = real;
constexpr int64_t lanes = BALLAST_VECTOR_BYTES / sizeof(real);

/// Vectors of any type V, from and to memory of any alignment.
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

/// Past the caches: `to` must be aligned to a vector. Other threads see it in order only behind end_streams.
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

inline Vector broadcast(real v) { return v - Vector{}; }

// a and b in turn, a first: the lower halves, or the upper ones.
template <int... I>
inline Vector in_turn(Vector a, Vector b, bool upper, std::integer_sequence<int, I...>) {
  constexpr int half = int{lanes} / 2, all = int{lanes};
  return upper ? __builtin_shufflevector(a, b, (half + I / 2 + I % 2 * all)...)
               : __builtin_shufflevector(a, b, (I / 2 + I % 2 * all)...);
}

/// Element (row, column) of a square of vectors goes to (column, row): riffling the upper half of the rows
/// with the lower one moves each bit of an index one place around.
inline void transpose(Vector (&square)[lanes]) {
  constexpr auto indices = std::make_integer_sequence<int, int{lanes}>();
  for (int64_t riffle = 1; riffle < lanes; riffle *= 2) {
    Vector next[lanes];
    for (int64_t i = 0; i < lanes / 2; ++i) {
      next[2 * i] = in_turn(square[i], square[i + lanes / 2], false, indices);
      next[2 * i + 1] = in_turn(square[i], square[i + lanes / 2], true, indices);
    }
    for (int64_t i = 0; i < lanes; ++i) square[i] = next[i];
  }
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
