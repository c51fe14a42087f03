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

/// Elements of a line of memory.
constexpr int64_t line_size = 64 / sizeof(real);

/// Calls for the line of any address, or for every line's length of `count` elements, to be read from the
/// second cache; or for a line to be written.
inline void prefetch(const real* at) { __builtin_prefetch(at, 0, 2); }
inline void call_for(const real* from, int64_t count) {
  for (int64_t i = 0; i < count; i += line_size) prefetch(from + i);
}
inline void prefetch_to_write(const real* at) { __builtin_prefetch(at, 1, 3); }

inline Vector broadcast(real v) { return v - Vector{}; }

template <int Size, int... I>
inline void swap_blocks(Vector (&square)[lanes], std::integer_sequence<int, I...> indices) {
  constexpr int all = int{lanes};
  for (int row = 0; row < all; ++row) {
    if (row & Size) continue;
    const Vector a = square[row], b = square[row + Size];
    square[row] = __builtin_shufflevector(a, b, (I & Size ? I - Size + all : I)...);
    square[row + Size] = __builtin_shufflevector(a, b, (I & Size ? I + all : I + Size)...);
  }
  if constexpr (Size > 1) swap_blocks<Size / 2>(square, indices);
}

/// Element (row, column) of a square of vectors goes to (column, row): of each square of 2 x 2 blocks, two
/// change places across the diagonal, and the same happens within the blocks (Eklundh 1972).
inline void transpose(Vector (&square)[lanes]) {
  swap_blocks<int{lanes} / 2>(square, std::make_integer_sequence<int, int{lanes}>());
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
