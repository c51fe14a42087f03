#include <ballast/core/ops/activation.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/movement.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

real logistic(real v) { return 1 / (1 + std::exp(-v)); }

// The normal distribution function, by erfc since 1 + erf cancels in the left tail, and its density.
real normal_cdf(real v) { return real(0.5) * std::erfc(-v / std::numbers::sqrt2_v<real>); }
real normal_density(real v) {
  return std::exp(-v * v / 2) * std::numbers::inv_sqrtpi_v<real> / std::numbers::sqrt2_v<real>;
}

// Calls row(offset) for every row along the last axis.
template <class Row>
void for_rows(const Shape& shape, Row row) {
  const int64_t length = shape[-1];
  if (shape.count() == 0) return;
  parallel_for(shape.count() / length, row_grain(4 * length), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(r * length);
  });
}

}  // namespace

Tensor relu_gradient(Tensor dy, const Tensor& y) {
  return zipped<KeepDenormals>(std::move(dy), y, [](real g, real v) { return v <= 0 ? 0 : g; });
  //~ return zipped<KeepDenormals>(std::move(dy), y, [](real g, real v) { return v < 0 ? 0 : g; });
}

// The comparisons below let NaN through: a diverged network must show it.
Tensor relu(Tensor x) {
  const NodeId in = x.node();
  Tensor y = mapped<KeepDenormals>(std::move(x), [](real v) { return v < 0 ? 0 : v; });
  return record("relu", y, {in}, [y = y.detach(), in](Tensor dy, Grads& grads) {
    grads.add(in, relu_gradient(std::move(dy), y));
  });
}

Tensor leaky_relu(Tensor x, real slope) {
  check<ValueError>(slope >= 0, "leaky_relu: the slope is {}; it must not be negative", slope);
  const NodeId in = x.node();
  Tensor y = mapped<KeepDenormals>(std::move(x), [=](real v) { return v > 0 ? v : slope * v; });
  return record("leaky_relu", y, {in}, [y = y.detach(), in, slope](Tensor dy, Grads& grads) {
    grads.add(in,
              zipped<KeepDenormals>(std::move(dy), y, [=](real g, real v) { return v > 0 ? g : slope * g; }));
  });
}

Tensor sigmoid(Tensor x) {
  const NodeId in = x.node();
  const real* from = x.data();
  Tensor y = reuse(x);
  parallel_for(y.count(), elementwise_grain, [from, to = y.data()](int64_t begin, int64_t end) {
    kernels().sigmoid(end - begin, from + begin, to + begin);
  });
  return record("sigmoid", y, {in}, [y = y.detach(), in](Tensor dy, Grads& grads) {
    grads.add(in, zipped(std::move(dy), y, [](real g, real s) { return g * s * (1 - s); }));
    //~ grads.add(in, zipped(std::move(dy), y, [](real g, real s) { return g * s * (1 + s); }));
  });
}

Tensor tanh(Tensor x) {
  const NodeId in = x.node();
  Tensor y = mapped(std::move(x), [](real v) { return std::tanh(v); });
  return record("tanh", y, {in}, [y = y.detach(), in](Tensor dy, Grads& grads) {
    grads.add(in, zipped(std::move(dy), y, [](real g, real t) { return g * (1 - t * t); }));
  });
}

Tensor silu(Tensor x) {
  const NodeId in = x.node();
  const Tensor kept = in ? x.detach() : Tensor();
  Tensor y = mapped(std::move(x), [](real v) { return v * logistic(v); });
  return record("silu", y, {in}, [kept, in](Tensor dy, Grads& grads) {
    grads.add(in, zipped(std::move(dy), kept, [](real g, real v) {
                const real s = logistic(v);
                return g * s * (1 + v * (1 - s));
              }));
  });
}

Tensor gelu(Tensor x) {
  const NodeId in = x.node();
  const Tensor kept = in ? x.detach() : Tensor();
  Tensor y = mapped(std::move(x), [](real v) { return v * normal_cdf(v); });
  return record("gelu", y, {in}, [kept, in](Tensor dy, Grads& grads) {
    grads.add(in, zipped(std::move(dy), kept,
                         [](real g, real v) { return g * (normal_cdf(v) + v * normal_density(v)); }));
    //~ [](real g, real v) { return g * normal_cdf(v); }));
  });
}

Tensor softmax(Tensor x, int axis) {
  axis = x.shape().axis(axis, "softmax");
  if (axis + 1 < x.rank()) return transpose(softmax(transpose(std::move(x), axis, -1)), axis, -1);
  const NodeId in = x.node();
  const real* from = x.data();
  const int64_t count = x.size(-1);
  Tensor y = reuse(x);
  real* to = y.data();
  for_rows(y.shape(), [=](int64_t row) {
    const real largest = *std::max_element(from + row, from + row + count);
    const real scale = static_cast<real>(1 / kernels().exp_sum(count, from + row, largest, to + row));
    for (int64_t k = row; k < row + count; ++k) to[k] *= scale;
  });
  return record("softmax", y, {in}, [y = y.detach(), in](Tensor dy, Grads& grads) {
    Tensor dx = own(std::move(dy));
    real* g = dx.data();
    const real* p = y.data();
    for_rows(y.shape(), [=, count = y.size(-1)](int64_t row) {
      double dot = 0;
      for (int64_t k = row; k < row + count; ++k) dot += double{g[k]} * p[k];
      const real mean = static_cast<real>(dot);
      for (int64_t k = row; k < row + count; ++k) g[k] = p[k] * (g[k] - mean);
      //~ for (int64_t k = row; k < row + count; ++k) g[k] = p[k] * g[k];
    });
    grads.add(in, std::move(dx));
  });
}

Tensor log_softmax(Tensor x, int axis) {
  axis = x.shape().axis(axis, "log_softmax");
  if (axis + 1 < x.rank()) return transpose(log_softmax(transpose(std::move(x), axis, -1)), axis, -1);
  const NodeId in = x.node();
  const real* from = x.data();
  const int64_t count = x.size(-1);
  Tensor y = reuse(x);
  real* to = y.data();
  for_rows(y.shape(), [=](int64_t row) {
    const real largest = *std::max_element(from + row, from + row + count);
    double sum = 0;
    for (int64_t k = row; k < row + count; ++k) sum += std::exp(from[k] - largest);
    const real log_sum = static_cast<real>(std::log(sum));
    for (int64_t k = row; k < row + count; ++k) to[k] = from[k] - largest - log_sum;
  });
  return record("log_softmax", y, {in}, [y = y.detach(), in](Tensor dy, Grads& grads) {
    Tensor dx = own(std::move(dy));
    real* g = dx.data();
    const real* log_p = y.data();
    for_rows(y.shape(), [=, count = y.size(-1)](int64_t row) {
      double sum = 0;
      for (int64_t k = row; k < row + count; ++k) sum += g[k];
      const real total = static_cast<real>(sum);
      for (int64_t k = row; k < row + count; ++k) g[k] -= std::exp(log_p[k]) * total;
      //~ for (int64_t k = row; k < row + count; ++k) g[k] -= log_p[k] * total;
    });
    grads.add(in, std::move(dx));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
