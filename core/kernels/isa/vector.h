#pragma once

#include <ballast/core/kernels/kernels.h>

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
using UnalignedVector [[gnu::vector_size(BALLAST_VECTOR_BYTES), gnu::aligned(sizeof(real)), gnu::may_alias]] =
    real;
constexpr int64_t lanes = BALLAST_VECTOR_BYTES / sizeof(real);

inline Vector load(const real* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline void store(real* to, Vector v) { *reinterpret_cast<UnalignedVector*>(to) = v; }
inline Vector broadcast(real v) { return v - Vector{}; }
inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
