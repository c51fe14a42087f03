// Results that leave the caches are written in another way than small ones.
#include <doctest/doctest.h>

#include <cstring>

#include <ballast/core/detail/stream.h>
#include <ballast/core/ops.h>
#include <ballast/core/random.h>

using namespace ballast;

namespace {

// Rows that aren't whole cache lines, and only together leave the caches.
constexpr int64_t rows = 5, columns = int64_t{680003} * 4 / int64_t{sizeof(real)};

Tensor row_of(const Tensor& x, int64_t row) { return x.size(0) == 1 ? x : slice(x, 0, row, row + 1); }

// Whether f of large operands is f of their rows, bit by bit. Operands of one row are the same for all rows.
template <class F>
bool is_f_of_rows(F f, const Tensor& a, const Tensor& b) {
  const Tensor y = f(a, b);
  for (int64_t row = 0; row < rows; ++row) {
    const Tensor of_row = f(row_of(a, row), row_of(b, row));
    if (std::memcmp(y.data() + row * columns, of_row.data(), columns * sizeof(real)) != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("results that leave the caches are those of their parts") {
  static_assert(rows * columns * sizeof(real) > detail::tuning::cached_bytes);
  static_assert(columns * sizeof(real) <= detail::tuning::cached_bytes);
  const Tensor x = randn({rows, columns}), z = randn({rows, columns});
  const Tensor row = randn({1, columns}), column = randn({rows, 1});
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor&) { return exp(a); }, x, z));
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor& b) { return a * b; }, x, z));
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor& b) { return a - b; }, x, row));
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor& b) { return a / b; }, x, column));
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor& b) { return a / b + a; }, x, column));
  CHECK(is_f_of_rows([](const Tensor& a, const Tensor& b) { return where(b > a, a, b); }, x, row));
}

TEST_CASE("gradients that leave the caches are those of their parts") {
  const Tensor x = randn({rows, columns}), dy = randn({rows, columns});
  const auto gradient = [](auto f) {
    return [f](const Tensor& a, const Tensor& upstream) {
      Tape tape;
      Tensor in = a.detach();
      tape.watch(in);
      tape.backward(f(in), upstream);
      return tape.grad(in);
    };
  };
  CHECK(is_f_of_rows(gradient([](const Tensor& in) { return relu(in); }), x, dy));
  CHECK(is_f_of_rows(gradient([](const Tensor& in) { return gelu(in); }), x, dy));
  // Of a temporary, which the result overwrites, so that only the slope is written elsewhere.
  CHECK(is_f_of_rows(gradient([](const Tensor& in) { return gelu(in + 1); }), x, dy));
}
