#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// A row-major matrix operand of `gemm`, `ld` elements from row to row, used as it is or transposed.
struct Matrix {
  const real* data;
  int64_t ld;
  bool transposed = false;
};

/// Applied to a product before it is stored: a bias, one element per column of C (or null), then a ReLU.
struct Epilogue {
  const real* bias = nullptr;
  bool relu = false;
  /// The bits of an element of C depend on its row of op(A) and its column of op(B) alone, not on how many
  /// others there are: a sequence gets the same result in any batch.
  bool same_bits = false;
};

/// C = op(A) op(B) + beta C with op(A) m x k, op(B) k x n and C m x n, row-major, `ldc` elements from row to
/// row. With beta 0, C may be uninitialized. The partition into tasks never depends on the number of threads.
void gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc,
          const Epilogue& epilogue = {});

}  // namespace ballast::inline BALLAST_PRECISION::detail
