#include <ballast/core/ops/activation.h>

#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/movement.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// Calls rows(begin, end) for chunks of the rows along the last axis.
template <class Rows>
void for_rows(const Shape& shape, Rows rows) {
  if (shape.count() == 0) return;
  parallel_for(shape.count() / shape[-1], row_grain(4 * shape[-1]), rows);
}

// y = value(x) for every row along `axis`, whose gradient is a function of dy and y.
template <class Value, class Gradient>
Tensor along(int axis, Tensor x, const char* op, Value value, Gradient gradient) {
  axis = x.shape().axis(axis, op);
  if (axis + 1 < x.rank())
    return transpose(along(-1, transpose(std::move(x), axis, -1), op, value, gradient), axis, -1);
  const NodeId in = x.node();
  const real* from = x.data();
  Tensor y = reuse(x);
  for_rows(y.shape(), [=, count = y.size(-1), to = y.data()](int64_t begin, int64_t end) {
    const KeepDenormals denormals;
    for (int64_t n = begin; n < end; ++n) value(count, from + n * count, to + n * count);
  });
  return record(op, y, {in}, [=, y = y.detach()](Tensor dy, Grads& grads) {
    const real* from_dy = dy.data();
    Tensor dx = reuse(dy);
    for_rows(y.shape(), [=, count = y.size(-1), of = y.data(), to = dx.data()](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        gradient(count, from_dy + n * count, of + n * count, to + n * count);
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
  return along(axis, std::move(x), "softmax", kernels().softmax, kernels().softmax_gradient);
}
Tensor log_softmax(Tensor x, int axis) {
  return along(axis, std::move(x), "log_softmax", kernels().log_softmax, kernels().log_softmax_gradient);
}

}  // namespace ballast::inline BALLAST_PRECISION
