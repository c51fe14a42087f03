#include <ballast/core/ops/elementwise.h>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/strided.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// Memory for a result of the given shape: an operand's, if that may be overwritten and fits, else new.
Tensor reuse_either(const Shape& shape, Tensor& a, Tensor& b) {
  if (a.shape() == shape && solely_held(a)) return std::move(a);
  if (b.shape() == shape && solely_held(b)) return std::move(b);
  return Tensor(shape);
}

// to[i] = f(a[i], b[i]), where an operand with step 0 stays at its first element. `to` may be a or b.
template <class F>
void combine_range(real* to, const real* a, const real* b, bool a_steps, bool b_steps, int64_t count, F f) {
  if (a_steps && b_steps) {
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) to[i] = f(a[i], b[i]);
  } else if (a_steps) {
    const real fixed = *b;
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) to[i] = f(a[i], fixed);
  } else {
    const real fixed = *a;
    const int64_t step = b_steps;
    BALLAST_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) to[i] = f(fixed, b[i * step]);
  }
}

// f(a, b) element by element, for equal shapes.
template <class F>
Tensor combine_equal_shapes(Tensor a, Tensor b, F f) {
  const real *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(a.shape(), a, b);
  parallel_for(y.count(), elementwise_grain, [=, to = y.data()](int64_t begin, int64_t end) {
    combine_range(to + begin, from_a + begin, from_b + begin, true, true, end - begin, f);
  });
  return y;
}

// f(a, b) element by element, with broadcasting.
template <class F>
Tensor combine(const char* op, Tensor a, Tensor b, F f) {
  if (a.shape() == b.shape()) return combine_equal_shapes(std::move(a), std::move(b), f);
  const Shape shape = broadcast(op, a.shape(), b.shape());
  const auto axes = broadcast_walk<2>(shape, {a.shape(), b.shape()});
  const real *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(shape, a, b);
  real* to = y.data();
  parallel_for(shape.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
    const auto [a_steps, b_steps] = axes.inner_stride();
    axes.walk(begin, end,
              [&, a_steps = a_steps != 0, b_steps = b_steps != 0](int64_t position, const auto& offset,
                                                                  int64_t count) {
                combine_range(to + position, from_a + offset[0], from_b + offset[1], a_steps, b_steps, count,
                              f);
              });
  });
  return y;
}

}  // namespace

Tensor detail::apply(const Function& f, Tensor x, real a, real b) {
  const NodeId in = x.node();
  const Tensor argument = in && !f.of_result ? x.detach() : Tensor();
  const real* from = x.data();
  Tensor y = reuse(x);
  parallel_for(y.count(), elementwise_grain, [=, &f, to = y.data()](int64_t begin, int64_t end) {
    const KeepDenormals denormals;
    f.value(end - begin, from + begin, to + begin, a, b);
  });
  return record(f.name, y, {in},
                [=, &f, kept = f.of_result ? y.detach() : argument](Tensor dy, Grads& grads) {
                  grads.add(in, gradient_of(f, std::move(dy), kept, a, b));
                });
}

Tensor detail::gradient_of(const Function& f, Tensor dy, const Tensor& kept, real a, real b) {
  const real *from = dy.data(), *of = kept.data();
  Tensor dx = reuse(dy);
  parallel_for(dx.count(), elementwise_grain, [=, &f, to = dx.data()](int64_t begin, int64_t end) {
    const DenormalMode denormals(f.keep_denormals);
    f.gradient(end - begin, from + begin, of + begin, to + begin, a, b);
  });
  return dx;
}

Tensor operator+(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor y = combine("a + b", std::move(a), std::move(b), [](real p, real q) { return p + q; });
  return record("+", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(std::move(dy), shape_b));
  });
}

Tensor operator-(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor y = combine("a - b", std::move(a), std::move(b), [](real p, real q) { return p - q; });
  return record("-", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, -sum_to(std::move(dy), shape_b));
    //~ if (grads.wants(in_b)) grads.add(in_b, sum_to(std::move(dy), shape_b));
  });
}

Tensor operator*(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const Tensor kept_a = in_b ? a.detach() : Tensor(), kept_b = in_a ? b.detach() : Tensor();
  Tensor y = combine("a * b", std::move(a), std::move(b), [](real p, real q) { return p * q; });
  return record("*", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy * kept_b, shape_a));
    //~ if (grads.wants(in_a)) grads.add(in_a, sum_to(dy * kept_a, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(std::move(dy) * kept_a, shape_b));
  });
}

Tensor operator/(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const Tensor kept_b = in_a || in_b ? b.detach() : Tensor();
  Tensor y = combine("a / b", std::move(a), std::move(b), [](real p, real q) { return p / q; });
  return record("/", y, {in_a, in_b}, [=, y = y.detach()](Tensor dy, Grads& grads) {
    const Tensor da = std::move(dy) / kept_b;
    if (grads.wants(in_a)) grads.add(in_a, sum_to(da, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, -sum_to(da * y, shape_b));
    //~ if (grads.wants(in_b)) grads.add(in_b, -sum_to(da, shape_b));
  });
}

Tensor operator-(Tensor x) {
  const NodeId in = x.node();
  Tensor y = mapped(std::move(x), [](real v) { return -v; });
  return record("-", y, {in}, [in](Tensor dy, Grads& grads) { grads.add(in, -std::move(dy)); });
}

Tensor exp(Tensor x) { return apply(kernels().exp, std::move(x)); }
Tensor expm1(Tensor x) { return apply(kernels().expm1, std::move(x)); }
Tensor log(Tensor x) { return apply(kernels().log, std::move(x)); }
Tensor log1p(Tensor x) { return apply(kernels().log1p, std::move(x)); }
Tensor sqrt(Tensor x) { return apply(kernels().sqrt, std::move(x)); }
Tensor erf(Tensor x) { return apply(kernels().erf, std::move(x)); }
Tensor abs(Tensor x) { return apply(kernels().abs, std::move(x)); }

Tensor pow(Tensor x, real exponent) {
  return exponent == 2 ? apply(kernels().square, std::move(x)) : apply(kernels().pow, std::move(x), exponent);
}

Tensor clamp(Tensor x, real low, real high) {
  check<ValueError>(low <= high, "clamp: the lower limit {} is above the upper limit {}", low, high);
  return apply(kernels().clamp, std::move(x), low, high);
}

Tensor where(const Tensor& condition, Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const Shape shape = broadcast("where", condition.shape(), broadcast("where", shape_a, shape_b));
  const auto axes = broadcast_walk<3>(shape, {condition.shape(), shape_a, shape_b});
  const real *from_c = condition.data(), *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(shape, a, b);
  real* to = y.data();
  parallel_for(shape.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
    const auto step = axes.inner_stride();
    const KeepDenormals denormals;  // a condition of 1e-40 is not 0
    axes.walk(begin, end, [&](int64_t position, const auto& offset, int64_t count) {
      const real *c = from_c + offset[0], *p = from_a + offset[1], *q = from_b + offset[2];
      for (int64_t i = 0; i < count; ++i)
        to[position + i] = c[i * step[0]] != 0 ? p[i * step[1]] : q[i * step[2]];
    });
  });
  return record("where", y, {in_a, in_b}, [=, kept = condition.detach()](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, dy, 0), shape_a));
    //~ if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, 0, dy), shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(where(kept, 0, std::move(dy)), shape_b));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
