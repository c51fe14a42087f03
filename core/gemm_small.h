#pragma once

#include <ballast/core/gemm.h>

namespace ballast::inline BALLAST_PRECISION {

/// The products that `small_gemm` is for: there OpenBLAS would pack less well, and call malloc.
inline bool is_small_product(int64_t m, int64_t n, int64_t k) { return m * n * k <= 1'000'000; }

/// As `gemm`, on the calling thread, without OpenBLAS.
void small_gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc);

}  // namespace ballast::inline BALLAST_PRECISION
