#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/ops.h>
#include <ballast/core/parallel.h>
#include <ballast/core/random.h>
#include <ballast/layers/functional/linear.h>
#include "reference/product.h"
#include "same_bits.h"

using namespace ballast;
using namespace ballast::detail;

TEST_CASE("products of all sizes and transpositions, into part of a larger matrix") {
  manual_seed(1);
  struct Sizes {
    int64_t m, n, k;
  };
  for (const Sizes s : {Sizes{1, 1, 1},
                        {1, 17, 5},
                        {9, 1, 33},
                        {7, 16, 1},
                        {8, 16, 8},
                        {25, 31, 64},
                        {33, 300, 120},
                        {300, 40, 100},
                        {130, 200, 140},
                        {253, 520, 20},   // rows of A^T 256 elements apart
                        {17, 200, 1300},  // deep
                        {1, 303, 1300},   // a row: in more than one part, and a rest
                        {303, 1, 1300},   // a column
                        {70, 300, 1},     // an outer product
                        {3, 5, 0}}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const real beta : {real(0), real(1), real(0.5), real(0.25)}) {
          CAPTURE(s.m);
          CAPTURE(s.n);
          CAPTURE(s.k);
          CAPTURE(ta);
          CAPTURE(tb);
          const int64_t a_row = (ta ? s.m : s.k) + 3, b_row = (tb ? s.k : s.n) + 2;
          const Tensor a_data = randn({ta ? s.k : s.m, a_row}), b_data = randn({tb ? s.n : s.k, b_row});
          const Matrix a{a_data.data(), a_row, ta}, b{b_data.data(), b_row, tb};
          const int64_t c_row = s.m == 303 && s.n == 1 ? 1 : s.n + 4;  // a column by itself is contiguous
          Tensor c = randn({s.m, c_row});
          const Tensor bias = randn({s.n});
          const Epilogue epilogue =
              beta == 1 || beta == real(0.25) ? Epilogue() : Epilogue{bias.data(), ta != tb};
          const Tensor expected = reference::product(s.m, s.n, s.k, a, b, beta, c, epilogue);
          if (beta == 0 && s.m) c(0, 0) = NAN;  // may be uninitialized
          gemm(s.m, s.n, s.k, a, b, beta, c.data(), c_row, epilogue);
          double worst = 0;
          for (int64_t i = 0; i < c.count(); ++i) {
            worst = std::max(worst, std::abs(static_cast<double>(c.data()[i] - expected.data()[i])));
          }
          CHECK(worst < 1e-5 * std::sqrt(1 + static_cast<double>(s.k)));
          CHECK_FALSE(std::isnan(c(0, 0)));
        }
      }
    }
  }
}

TEST_CASE("a packed matrix gives the products of the matrix, and a row the bits it gets alone") {
  manual_seed(2);
  const int before = num_threads();
  const int64_t n = 200, k = 70;
  for (const bool transposed : {false, true}) {
    const int64_t b_row = (transposed ? k : n) + 2;
    const Tensor b_data = randn({transposed ? n : k, b_row}), bias = randn({n});
    const Matrix b{b_data.data(), b_row, transposed};
    const PackedMatrix packed(k, n, b);
    for (const int64_t m : {1, 5, 64}) {
      CAPTURE(m);
      const Tensor a = randn({m, k}), c = randn({m, n});
      Tensor expected = c.clone();
      gemm(m, n, k, {a.data(), k}, b, 0.5, expected.data(), n, {.bias = bias.data(), .same_bits = true});
      for (const int threads : {1, 2, 3}) {
        set_num_threads(threads);
        Tensor y = c.clone();
        packed.multiply(m, a.data(), k, 0.5, y.data(), n, bias.data());
        CHECK(max(abs(y - expected)).item() < 1e-5);
        Tensor row = c.clone();  // alone
        packed.multiply(1, a.data() + (m - 1) * k, k, 0.5, row.data() + (m - 1) * n, n, bias.data());
        CHECK(same_bits(slice(row, 0, m - 1, m), slice(y, 0, m - 1, m)));
      }
    }
  }
  set_num_threads(before);
}

extern "C" {
int openblas_get_num_threads(void);
void openblas_set_num_threads(int count);
}

TEST_CASE(
    "OpenBLAS has as many threads after a large product as the program gave it, also for two callers at "
    "once") {
  const int before = openblas_get_num_threads();
  openblas_set_num_threads(2);
  const Tensor a = ones({512, 512});  // large enough for OpenBLAS
  const auto multiply = [&] {
    for (int i = 0; i < 3; ++i) CHECK(matmul(a, a)(0, 0) == 512);
  };
  std::thread other(multiply);
  multiply();
  other.join();
  CHECK(openblas_get_num_threads() == 2);
  openblas_set_num_threads(before);
}
