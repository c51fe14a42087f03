#pragma once

#include <algorithm>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION::reference {

using detail::Epilogue, detail::Matrix;

/// The product as its formula says, one multiplication after the other, in double: beta C + op(A) op(B), plus
/// the bias, and then ReLU if there is one; see gemm.
inline Tensor product(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, const Tensor& c,
                      const Epilogue& epilogue) {
  const auto at = [](const Matrix& x, int64_t row, int64_t column) {
    return double{x.transposed ? x.data[column * x.ld + row] : x.data[row * x.ld + column]};
  };
  Tensor result = c.clone();
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      double sum = beta == 0 ? 0 : double{beta} * c(row, column);
      if (epilogue.bias) sum += epilogue.bias[column];
      for (int64_t inner = 0; inner < k; ++inner) sum += at(a, row, inner) * at(b, inner, column);
      result(row, column) = static_cast<real>(epilogue.relu ? std::max(sum, 0.0) : sum);
    }
  }
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION::reference
