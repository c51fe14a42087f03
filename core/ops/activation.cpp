#include <ballast/core/ops/activation.h>

#include <algorithm>

#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// A function along one axis and its gradient, a function of dy and y: of a row, and of the columns of a
// matrix.
struct AlongAxis {
  const char* name;
  void (*row)(int64_t count, const real* x, real* y);
  decltype(Kernels::softmax_columns) columns;
  decltype(Kernels::softmax_gradient) row_gradient;
  decltype(Kernels::softmax_gradient_columns) columns_gradient;
};

// Calls row(offset) for each row along `axis` if that is the last one, else columns(offset, columns, stride)
// for blocks of adjacent columns.
template <class Row, class ColumnBlock>
void for_axis(const Shape& shape, int axis, Row row, ColumnBlock columns) {
  if (shape.count() == 0) return;
  const int64_t count = shape[axis], stride = shape.count(axis + 1, shape.rank());
  if (stride == 1) {
    return parallel_for(shape.count() / count, row_grain(4 * count), [=](int64_t begin, int64_t end) {
      const KeepDenormals denormals;
      for (int64_t n = begin; n < end; ++n) row(n * count);
    });
  }
  constexpr int64_t width = 256;
  const int64_t blocks = divide_up(stride, width);
  parallel_for(shape.count(0, axis) * blocks, row_grain(4 * count * width), [=](int64_t begin, int64_t end) {
    const KeepDenormals denormals;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % blocks * width;
      columns(i / blocks * count * stride + column, std::min(width, stride - column), stride);
    }
  });
}

Tensor along(const AlongAxis& f, int axis, Tensor x) {
  axis = x.shape().axis(axis, f.name);
  const NodeId in = x.node();
  const real* from = x.data();
  Tensor y = reuse(x);
  const int64_t count = y.shape()[axis];
  for_axis(
      y.shape(), axis, [&, to = y.data()](int64_t at) { f.row(count, from + at, to + at); },
      [&, to = y.data()](int64_t at, int64_t columns, int64_t stride) {
        f.columns(count, columns, stride, from + at, to + at);
      });
  return record(f.name, y, {in}, [=, y = y.detach()](Tensor dy, Grads& grads) {
    const real *from_dy = dy.data(), *of = y.data();
    Tensor dx = reuse(dy);
    for_axis(
        y.shape(), axis,
        [&, to = dx.data()](int64_t at) { f.row_gradient(count, from_dy + at, of + at, to + at); },
        [&, to = dx.data()](int64_t at, int64_t columns, int64_t stride) {
          f.columns_gradient(count, columns, stride, from_dy + at, of + at, to + at);
        });
    grads.add(in, std::move(dx));
  });
}

}  // namespace

Tensor relu(Tensor x) { return apply(kernels().relu, std::move(x)); }
Tensor relu_gradient(Tensor dy, const Tensor& y) { return gradient_of(kernels().relu, std::move(dy), y); }

Tensor leaky_relu(Tensor x, real slope) {
  check<ValueError>(slope >= 0, "leaky_relu: the slope is {}; it must not be negative", slope);
  return apply(kernels().leaky_relu, std::move(x), slope);
}

Tensor elu(Tensor x, real alpha) {
  check<ValueError>(alpha >= 0, "elu: alpha is {}; it must not be negative", alpha);
  return apply(kernels().elu, std::move(x), alpha);
}

Tensor softplus(Tensor x, real beta, real threshold) {
  check<ValueError>(beta > 0, "softplus: beta is {}; it must be positive", beta);
  return apply(kernels().softplus, std::move(x), beta, threshold);
}

Tensor sigmoid(Tensor x) { return apply(kernels().sigmoid, std::move(x)); }
Tensor tanh(Tensor x) { return apply(kernels().tanh, std::move(x)); }
Tensor silu(Tensor x) { return apply(kernels().silu, std::move(x)); }

Tensor gelu(Tensor x, GeluForm form) {
  return apply(form == GeluForm::exact ? kernels().gelu : kernels().gelu_tanh, std::move(x));
}

Tensor softmax(Tensor x, int axis) {
  const Kernels& k = kernels();
  const auto row = [](int64_t count, const real* from, real* to) { kernels().softmax(count, from, to); };
  return along({"softmax", row, k.softmax_columns, k.softmax_gradient, k.softmax_gradient_columns}, axis,
               std::move(x));
}
Tensor log_softmax(Tensor x, int axis) {
  const Kernels& k = kernels();
  return along({"log_softmax", k.log_softmax, k.log_softmax_columns, k.log_softmax_gradient,
                k.log_softmax_gradient_columns},
               axis, std::move(x));
}

}  // namespace ballast::inline BALLAST_PRECISION
