#include <ballast/core/ops/matmul.h>

#include <algorithm>
#include <utility>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/detail/map.h>
#include <ballast/core/detail/product.h>
#include <ballast/core/detail/strided.h>
#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// A matrix with rows of `columns` elements. BLAS requires a row length of at least 1.
Matrix matrix(const real* data, int64_t columns, bool transposed = false) {
  return {data, std::max<int64_t>(columns, 1), transposed};
}

Shape leading_axes(const Shape& shape) { return {shape.begin(), shape.rank() - 2}; }

// op(a) op(b) for each index of the leading axes, which broadcast; op transposes if the flag is set.
Tensor batched_product(const Tensor& a, const Tensor& b, bool transposed_a, bool transposed_b) {
  const Shape sa = a.shape(), sb = b.shape();
  const int64_t m = sa[transposed_a ? -1 : -2], k = sa[transposed_a ? -2 : -1];
  const int64_t n = sb[transposed_b ? -2 : -1];
  const Shape batch = broadcast("matmul", leading_axes(sa), leading_axes(sb));
  const auto axes = broadcast_walk<2>(batch, {leading_axes(sa), leading_axes(sb)});
  Shape shape = batch.inserted(batch.rank(), m);
  shape = shape.inserted(shape.rank(), n);
  Tensor y(shape);
  parallel_for(batch.count(), row_grain(m * n * k), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto offset = axes.offsets(i);
      gemm(m, n, k, matrix(a.data() + offset[0] * m * k, sa[-1], transposed_a),
           matrix(b.data() + offset[1] * k * n, sb[-1], transposed_b), 0, y.data() + i * m * n, n);
    }
  });
  return y;
}

}  // namespace

Tensor detail::times_matrix(const char* op, Tensor x, Tensor w, Tensor bias, bool transposed, bool relu,
                            bool same_bits) {
  const NodeId in = x.node(), in_w = w.node(), in_bias = bias.node();
  const Shape x_shape = x.shape(), w_shape = w.shape();
  const int64_t rows = x_shape.count(0, x.rank() - 1), from = x_shape[-1], to = w_shape[transposed ? 0 : 1];
  const Tensor kept_x = in_w ? x.detach() : Tensor(), kept_w = in ? w.detach() : Tensor();
  Tensor y(x_shape.with(-1, to));
  gemm(rows, to, from, matrix(x.data(), from), matrix(w.data(), w_shape[1], transposed), 0, y.data(), to,
       {.bias = bias.empty() ? nullptr : std::as_const(bias).data(), .relu = relu, .same_bits = same_bits});
  return record(op, y, {in, in_w, in_bias}, [=, y = relu ? y.detach() : Tensor()](Tensor dy, Grads& grads) {
    if (relu) dy = relu_gradient(std::move(dy), y);
    const real* gradient = std::as_const(dy).data();
    grads.write(in, x_shape, [&](real* g, real beta) {
      const Matrix weights = matrix(kept_w.data(), w_shape[1], !transposed);
      //~ const Matrix weights = matrix(kept_w.data(), w_shape[1], transposed);
      gemm(rows, from, to, matrix(gradient, to), weights, beta, g, from);
    });
    grads.write(in_w, w_shape, [&](real* g, real beta) {
      const Matrix left = matrix(transposed ? gradient : kept_x.data(), w_shape[0], true);
      const Matrix right = matrix(transposed ? kept_x.data() : gradient, w_shape[1]);
      gemm(w_shape[0], w_shape[1], rows, left, right, beta, g, w_shape[1]);
      //~ gemm(w_shape[0], w_shape[1], rows, left, right, 0, g, w_shape[1]);
    });
    if (grads.wants(in_bias)) grads.add(in_bias, sum_to(dy, {to}));
    //~
  });
}

Tensor matmul(Tensor a, Tensor b) {
  check<ShapeError>(a.rank() >= 2 && b.rank() >= 2,
                    "matmul: shapes {} and {}; both must have at least two axes", a.shape(), b.shape());
  check<ShapeError>(a.shape()[-1] == b.shape()[-2],
                    "matmul: shapes {} and {}; the last axis of the first must be as long as the last but "
                    "one of the second",
                    a.shape(), b.shape());
  if (b.rank() == 2) return times_matrix("matmul", std::move(a), std::move(b), {}, false);
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const Tensor kept_a = in_b ? a.detach() : Tensor(), kept_b = in_a ? b.detach() : Tensor();
  Tensor y = batched_product(a, b, false, false);
  return record("matmul", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(batched_product(dy, kept_b, false, true), shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(batched_product(kept_a, dy, true, false), shape_b));
    //~ if (grads.wants(in_b)) grads.add(in_b, sum_to(batched_product(kept_a, dy, false, false), shape_b));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
