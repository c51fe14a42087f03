#include <ballast/layers/functional/weight_norm.h>

#include <cmath>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

int64_t row_length(const Tensor& weight) { return weight.shape().count(1, weight.rank()); }

Shape one_per_row(Shape shape) {
  for (int axis = 1; axis < shape.rank(); ++axis) shape = shape.with(axis, 1);
  return shape;
}

double dot(const real* x, const real* y, int64_t count) { return kernels().dot(x, y, count); }

double length(const real* x, int64_t count) { return std::sqrt(dot(x, x, count)); }

double inverse(double x) { return x == 0 ? 0 : 1 / x; }

// Calls f(row, its first element) for every row.
template <class F>
void for_rows(const Tensor& weight, F f) {
  const int64_t inner = row_length(weight);
  parallel_for(weight.shape()[0], row_grain(inner), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) f(row, row * inner);
  });
}

// dv = g / |v| (dw - e <e, dw>) and dg = <e, dw> with e = v / |v|.
void add_gradients(const Tensor& v, const Tensor& g, const Tensor& dw, Tensor& dv, Tensor& dg) {
  const int64_t inner = row_length(v);
  for_rows(v, [&](int64_t row, int64_t start) {
    const real *from = v.data() + start, *gradient = dw.data() + start;
    real* to = dv.data() + start;
    const double per_length = inverse(length(from, inner));
    const double along = dot(from, gradient, inner) * per_length;
    const double scale = g.data()[row] * per_length;
    for (int64_t i = 0; i < inner; ++i)
      to[i] = static_cast<real>(scale * (gradient[i] - from[i] * per_length * along));
    //~ to[i] = static_cast<real>(scale * (gradient[i] + from[i] * per_length * along));
    dg.data()[row] = static_cast<real>(along);
  });
}

}  // namespace

Tensor row_lengths(const Tensor& v) {
  Tensor lengths(one_per_row(v.shape()));
  const int64_t inner = row_length(v);
  for_rows(v, [&](int64_t row, int64_t start) {
    lengths.data()[row] = static_cast<real>(length(v.data() + start, inner));
  });
  return lengths;
}

Tensor weight_norm(Tensor v, Tensor g) {
  check<ShapeError>(v.rank() >= 1 && g.shape() == one_per_row(v.shape()),
                    "weight_norm: v is {} and g is {}; g must be {}", v.shape(), g.shape(),
                    one_per_row(v.shape()));
  const NodeId in_v = v.node(), in_g = g.node();
  const int64_t inner = row_length(v);
  Tensor w(v.shape());
  for_rows(v, [&](int64_t row, int64_t start) {
    const real* from = v.data() + start;
    real* to = w.data() + start;
    const double scale = g.data()[row] * inverse(length(from, inner));
    for (int64_t i = 0; i < inner; ++i) to[i] = static_cast<real>(scale * from[i]);
  });
  return record("weight_norm", std::move(w), {in_v, in_g},
                [v = v.detach(), g = g.detach(), in_v, in_g](const Tensor& dw, Grads& grads) {
                  Tensor dv(v.shape()), dg(g.shape());
                  add_gradients(v, g, dw, dv, dg);
                  grads.add(in_v, std::move(dv));
                  grads.add(in_g, std::move(dg));
                });
}

Tensor spectral_norm(Tensor weight, const Tensor& u, const Tensor& v) {
  const NodeId in = weight.node();
  const int64_t out = weight.shape()[0], inner = row_length(weight);
  check<ShapeError>(u.shape() == Shape{out} && v.shape() == Shape{inner},
                    "spectral_norm: the weight is {}, u is {} and v is {}; they must be ({}) and ({})",
                    weight.shape(), u.shape(), v.shape(), out, inner);
  const Scratch<double> products(out);
  for_rows(weight, [&](int64_t row, int64_t start) {
    products[row] = u.data()[row] * dot(weight.data() + start, v.data(), inner);
  });
  double sigma = 0;
  for (int64_t row = 0; row < out; ++row) sigma += products[row];
  const double scale = sigma == 0 ? 1 : 1 / sigma;
  Tensor y = mapped(std::move(weight), [=](real w) { return static_cast<real>(scale * w); });
  // u and v are copied: another forward pass may update them before this one's backward pass.
  return record("spectral_norm", y, {in},
                [y = y.detach(), u = u.clone(), v = v.clone(), sigma, scale, in](Tensor dy, Grads& grads) {
                  const double along = sigma == 0 ? 0 : dot(y.data(), dy.data(), y.count());
                  Tensor dw = own(std::move(dy));
                  for_rows(dw, [&](int64_t row, int64_t start) {
                    real* to = dw.data() + start;
                    const real* direction = v.data();
                    const double by_v = along * u.data()[row];
                    for (int64_t i = 0; i < v.count(); ++i)
                      to[i] = static_cast<real>(scale * (to[i] - by_v * direction[i]));
                    //~ to[i] = static_cast<real>(scale * (to[i]));
                  });
                  grads.add(in, std::move(dw));
                });
}

void power_iteration(const Tensor& weight, real* u, real* v) {
  const int64_t out = weight.shape()[0], inner = row_length(weight);
  const auto take_direction = [=](real* to, const Scratch<real>& product, int64_t count) {
    const double size = length(product.data(), count);
    if (size == 0) return;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<real>(product[i] / size);
  };
  const Scratch<real> wtu(inner), wv(out);
  gemm(inner, 1, out, {weight.data(), inner, true}, {u, 1}, 0, wtu.data(), 1);
  take_direction(v, wtu, inner);
  gemm(out, 1, inner, {weight.data(), inner}, {v, 1}, 0, wv.data(), 1);
  take_direction(u, wv, out);
}

}  // namespace ballast::inline BALLAST_PRECISION
