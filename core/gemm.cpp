#include <ballast/core/gemm.h>

#include <algorithm>

#include <ballast/core/gemm_small.h>
#include <ballast/core/parallel.h>

#ifndef BALLAST_PLAIN_GEMM
#include <cblas.h>
#endif

namespace ballast::inline BALLAST_PRECISION {
namespace {

#ifdef BALLAST_PLAIN_GEMM

// Stands in for OpenBLAS where a tool must see every memory access.
void gemm_tile(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  const auto at = [](const Matrix& x, int64_t row, int64_t column) {
    return x.transposed ? x.data[column * x.ld + row] : x.data[row * x.ld + column];
  };
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      real sum = 0;
      for (int64_t inner = 0; inner < k; ++inner) sum += at(a, row, inner) * at(b, inner, column);
      real& to = c[row * ldc + column];
      to = beta == 0 ? sum : beta * to + sum;
    }
  }
}

#else

#ifdef BALLAST_DOUBLE
constexpr auto blas_gemm = cblas_dgemm;
#else
constexpr auto blas_gemm = cblas_sgemm;
#endif

void gemm_tile(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  if (is_small_product(m, n, k)) return small_gemm(m, n, k, a, b, beta, c, ldc);
  // Our own threads call it; BLAS threads beside them would compete, and change bits with their number.
  static const bool single_threaded = (openblas_set_num_threads(1), true);
  static_cast<void>(single_threaded);
  const auto op = [](const Matrix& x) { return x.transposed ? CblasTrans : CblasNoTrans; };
  blas_gemm(CblasRowMajor, op(a), op(b), static_cast<blasint>(m), static_cast<blasint>(n),
            static_cast<blasint>(k), 1, a.data, static_cast<blasint>(a.ld), b.data,
            static_cast<blasint>(b.ld), beta, c, static_cast<blasint>(ldc));
}

#endif

Matrix rows_from(Matrix x, int64_t row) {
  x.data += x.transposed ? row : row * x.ld;
  return x;
}

Matrix columns_from(Matrix x, int64_t column) {
  x.data += x.transposed ? column * x.ld : column;
  return x;
}

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  // Tiles of some 4 million multiply-adds are long enough to pay for handing them out. The longer side is
  // cut.
  constexpr int64_t tile_work = int64_t{1} << 22;
  const int64_t tiles = std::clamp<int64_t>(m * n * k / tile_work, 1, 16);
  const int64_t longer = std::max(m, n);
  const int64_t grain = ((longer + tiles - 1) / tiles + 31) / 32 * 32;
  parallel_for(longer, grain, [&](int64_t begin, int64_t end) {
    if (m >= n) {
      gemm_tile(end - begin, n, k, rows_from(a, begin), b, beta, c + begin * ldc, ldc);
    } else {
      gemm_tile(m, end - begin, k, a, columns_from(b, begin), beta, c + begin, ldc);
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
