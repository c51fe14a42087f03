#pragma once

#include <cstdint>

#include <ballast/core/detail/scratch.h>

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

/// A matrix B, k x n, packed once for many products: `b` as it is, or transposed.
class PackedMatrix {
 public:
  PackedMatrix(int64_t k, int64_t n, Matrix b);
  /// C = A B + beta C + bias, with A m x k and C m x n, and a bias, or null, for each column. As with
  /// `Epilogue::same_bits`, a row of C doesn't depend on the others.
  void multiply(int64_t m, const real* a, int64_t lda, real beta, real* c, int64_t ldc,
                const real* bias = nullptr) const;

 private:
  int64_t k_, n_;
  Scratch<real> panels_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
