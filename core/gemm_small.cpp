#include <ballast/core/gemm_small.h>

#include <algorithm>
#include <cstring>

#include <ballast/core/ops/scratch.h>

// One version for each generation of vector instructions, chosen when the program starts. (The thread
// sanitizer isn't up by then.)
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BALLAST_VECTOR_VERSIONS [[gnu::target_clones("default", "arch=haswell", "arch=skylake-avx512")]]
#else
#define BALLAST_VECTOR_VERSIONS
#endif

namespace ballast::inline BALLAST_PRECISION {
namespace {

using Vector [[gnu::vector_size(64)]] = real;
constexpr int64_t tile_rows = 8, tile_columns = sizeof(Vector) / sizeof(real);

// Rows of op(x) in panels of `tile`, column by column within a panel, filled up with zeros:
// to[panel][column][row].
void pack_rows(const Matrix& x, int64_t rows, int64_t columns, int64_t tile, real* to) {
  const int64_t row_step = x.transposed ? 1 : x.ld, column_step = x.transposed ? x.ld : 1;
  for (int64_t first = 0; first < rows; first += tile) {
    const int64_t count = std::min(tile, rows - first);
    for (int64_t column = 0; column < columns; ++column, to += tile) {
      const real* from = x.data + first * row_step + column * column_step;
      for (int64_t row = 0; row < count; ++row) to[row] = from[row * row_step];
      std::fill(to + count, to + tile, real{0});
    }
  }
}

// tile[r][c] = sum over k of a[k][r] b[k][c]
BALLAST_VECTOR_VERSIONS void multiply_panels(int64_t k, const real* __restrict a, const real* __restrict b,
                                             real* __restrict tile) {
  Vector sums[tile_rows] = {};
  for (int64_t inner = 0; inner < k; ++inner, a += tile_rows, b += tile_columns) {
    Vector row;
    std::memcpy(&row, b, sizeof(row));
    for (int64_t r = 0; r < tile_rows; ++r) sums[r] += a[r] * row;
  }
  std::memcpy(tile, sums, sizeof(sums));
}

}  // namespace

void small_gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  const auto rounded = [](int64_t size, int64_t tile) { return (size + tile - 1) / tile * tile; };
  const Scratch<real> packed_a(rounded(m, tile_rows) * k), packed_b(rounded(n, tile_columns) * k);
  pack_rows(a, m, k, tile_rows, packed_a.data());
  b.transposed = !b.transposed;  // its columns, in panels
  pack_rows(b, n, k, tile_columns, packed_b.data());
  real tile[tile_rows * tile_columns];
  for (int64_t column = 0; column < n; column += tile_columns) {
    for (int64_t row = 0; row < m; row += tile_rows) {
      multiply_panels(k, packed_a.data() + row * k, packed_b.data() + column * k, tile);
      const int64_t rows = std::min(tile_rows, m - row), columns = std::min(tile_columns, n - column);
      for (int64_t r = 0; r < rows; ++r) {
        real* to = c + (row + r) * ldc + column;
        const real* from = tile + r * tile_columns;
        for (int64_t i = 0; i < columns; ++i) to[i] = beta == 0 ? from[i] : beta * to[i] + from[i];
      }
    }
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
