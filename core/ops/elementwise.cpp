#include <ballast/core/ops/elementwise.h>

#include <functional>

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

// Calls f with the function of i that gives element i of an operand, or its first one if it doesn't step.
template <class F>
void with_elements(const real* from, bool steps, F f) {
  if (steps) {
    f([from](int64_t i) { return from[i]; });
  } else {
    f([fixed = *from](int64_t) { return fixed; });
  }
}

// to[i] = f(a[i], b[i]). `to` may be a or b.
template <class F>
void combine_range(real* to, const real* a, const real* b, bool a_steps, bool b_steps, int64_t count, F f) {
  with_elements(a, a_steps, [=](auto a_at) {
    with_elements(b, b_steps, [=](auto b_at) {
      BALLAST_INDEPENDENT
      for (int64_t i = 0; i < count; ++i) to[i] = f(a_at(i), b_at(i));
    });
  });
}

// f(a, b) element by element, for equal shapes.
template <class F>
Tensor combine_equal_shapes(Tensor a, Tensor b, F f, bool keep_denormals) {
  const real *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(a.shape(), a, b);
  parallel_for(y.count(), elementwise_grain, [=, to = y.data()](int64_t begin, int64_t end) {
    const DenormalMode denormals(keep_denormals);
    combine_range(to + begin, from_a + begin, from_b + begin, true, true, end - begin, f);
  });
  return y;
}

// f(a, b) element by element, with broadcasting.
template <class F>
Tensor combine(const char* op, Tensor a, Tensor b, F f, bool keep_denormals = false) {
  if (a.shape() == b.shape()) return combine_equal_shapes(std::move(a), std::move(b), f, keep_denormals);
  const Shape shape = broadcast(op, a.shape(), b.shape());
  const auto axes = broadcast_walk<2>(shape, {a.shape(), b.shape()});
  const real *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(shape, a, b);
  real* to = y.data();
  parallel_for(shape.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
    const auto [a_steps, b_steps] = axes.inner_stride();
    const DenormalMode denormals(keep_denormals);
    axes.walk(begin, end,
              [&, a_steps = a_steps != 0, b_steps = b_steps != 0](int64_t position, const auto& offset,
                                                                  int64_t count) {
                combine_range(to + position, from_a + offset[0], from_b + offset[1], a_steps, b_steps, count,
                              f);
              });
  });
  return y;
}

// 1 where compare(a, b), else 0
template <class Compare>
Tensor compared(const char* op, const Tensor& a, const Tensor& b, Compare compare) {
  return combine(
      op, a.detach(), b.detach(), [=](real p, real q) { return compare(p, q) ? real{1} : real{0}; }, true);
}

// Of two elements the one that comes before the other by `before`, which is < or >.
template <class Before>
Tensor extreme(const char* op, Tensor a, Tensor b, Before before) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const bool recorded = in_a || in_b;
  const Tensor kept_a = recorded ? a.detach() : Tensor(), kept_b = recorded ? b.detach() : Tensor();
  Tensor y = combine(
      op, std::move(a), std::move(b), [=](real p, real q) { return before(p, q) || p != p ? p : q; }, true);
  return record(op, y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    const auto share = [=](real p, real q) { return p == q ? real(0.5) : before(p, q) ? real{1} : real{0}; };
    //~ const auto share = [=](real p, real q) { return before(p, q) ? real{1} : real{0}; };
    const Tensor of_a = combine(op, kept_a, kept_b, share, true);
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy * of_a, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(dy * (1 - of_a), shape_b));
  });
}

}  // namespace

Tensor detail::apply(const Function& f, Tensor x, real a, real b) {
  using Kept = Function::Kept;
  const NodeId in = x.node();
  Tensor kept = in && f.kept == Kept::x       ? x.detach()
                : in && f.kept == Kept::slope ? Tensor(x.shape())
                                              : Tensor();
  const real* from = x.data();
  Tensor y = reuse(x);
  parallel_for(y.count(), elementwise_grain, [=, &f, &kept, to = y.data()](int64_t begin, int64_t end) {
    const KeepDenormals denormals;
    if (in && f.kept == Kept::slope) {
      f.value_and_slope(end - begin, from + begin, to + begin, kept.data() + begin, a, b);
      //~ f.value(end - begin, from + begin, to + begin, a, b);
    } else {
      f.value(end - begin, from + begin, to + begin, a, b);
    }
  });
  if (f.kept == Kept::y) kept = y.detach();
  return record(f.name, y, {in}, [=, &f](Tensor dy, Grads& grads) {
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
  const bool same = in_a.index == in_b.index && std::as_const(a).data() == std::as_const(b).data();
  if (in_a && same) return pow(std::move(a), 2);  // one pass backward instead of three
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

Tensor maximum(Tensor a, Tensor b) {
  return extreme("maximum", std::move(a), std::move(b), std::greater<real>());
}
Tensor minimum(Tensor a, Tensor b) {
  return extreme("minimum", std::move(a), std::move(b), std::less<real>());
}

Tensor operator<(const Tensor& a, const Tensor& b) { return compared("a < b", a, b, std::less<real>()); }
Tensor operator<=(const Tensor& a, const Tensor& b) {
  return compared("a <= b", a, b, std::less_equal<real>());
}
Tensor operator>(const Tensor& a, const Tensor& b) { return compared("a > b", a, b, std::greater<real>()); }
Tensor operator>=(const Tensor& a, const Tensor& b) {
  return compared("a >= b", a, b, std::greater_equal<real>());
}
Tensor operator==(const Tensor& a, const Tensor& b) {
  return compared("a == b", a, b, std::equal_to<real>());
}
Tensor operator!=(const Tensor& a, const Tensor& b) {
  return compared("a != b", a, b, std::not_equal_to<real>());
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
      with_elements(c, step[0], [=](auto c_at) {
        with_elements(p, step[1], [=](auto p_at) {
          with_elements(q, step[2], [=](auto q_at) {
            BALLAST_INDEPENDENT
            for (int64_t i = 0; i < count; ++i) {
              const real yes = p_at(i), no = q_at(i);  // both are read, so that nothing branches
              to[position + i] = c_at(i) != 0 ? yes : no;
            }
          });
        });
      });
    });
  });
  return record("where", y, {in_a, in_b}, [=, kept = condition.detach()](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, dy, 0), shape_a));
    //~ if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, 0, dy), shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(where(kept, 0, std::move(dy)), shape_b));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
