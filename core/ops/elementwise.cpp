#include <ballast/core/ops/elementwise.h>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/stream.h>
#include <ballast/core/detail/strided.h>
#include <ballast/core/detail/sum_of_products.h>
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

// f(a, b) element by element, with broadcasting.
Tensor combine(const Binary& f, Tensor a, Tensor b) {
  const Shape shape = broadcast(f.name, a.shape(), b.shape());
  const auto axes = broadcast_walk<2>(shape, {a.shape(), b.shape()});
  const real *from_a = a.data(), *from_b = b.data();
  Tensor y = reuse_either(shape, a, b);
  write_result(y, {from_a, from_b}, f.keep_denormals, [&](int64_t begin, int64_t end, Destination to) {
    //~ write_result(y, {from_a, from_b}, false, [&](int64_t begin, int64_t end, Destination to) {
    const auto step = axes.inner_stride();
    axes.walk(begin, end, [&](int64_t position, const auto& offset, int64_t count) {
      f.value(count, {from_a + offset[0], step[0] != 0}, {from_b + offset[1], step[1] != 0},
              //~ f.value(count, {from_a + offset[0], step[0] != 0}, {from_b + offset[0], step[1] != 0},
              {to.at + (position - begin), to.stream});
    });
  });
  return y;
}

// Of two elements the one that f chooses; share(a, b) is a's part of the gradient.
Tensor extreme(const Binary& f, const Binary& share, Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const bool recorded = in_a || in_b;
  const Tensor kept_a = recorded ? a.detach() : Tensor(), kept_b = recorded ? b.detach() : Tensor();
  Tensor y = combine(f, std::move(a), std::move(b));
  return record(f.name, y, {in_a, in_b}, [=, &share](Tensor dy, Grads& grads) {
    const Tensor of_a = combine(share, kept_a, kept_b);
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy * of_a, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(dy * (1 - of_a), shape_b));
    //~ if (grads.wants(in_b)) grads.add(in_b, sum_to(dy * of_a, shape_b));
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
  const bool stream_slope = leaves_caches(y.count());
  write_result(y, {from}, /*keep_denormals=*/true, [&](int64_t begin, int64_t end, Destination to) {
    if (in && f.kept == Kept::slope) {
      f.value_and_slope(end - begin, from + begin, to, {kept.data() + begin, stream_slope}, a, b);
      //~ f.value(end - begin, from + begin, to, a, b);
    } else {
      f.value(end - begin, from + begin, to, a, b);
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
  write_result(dx, {from}, f.keep_denormals, [&](int64_t begin, int64_t end, Destination to) {
    f.gradient(end - begin, from + begin, of + begin, to, a, b);
  });
  return dx;
}

Tensor operator+(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor y = combine(kernels().add, std::move(a), std::move(b));
  return record("+", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(dy, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(std::move(dy), shape_b));
  });
}

Tensor operator-(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  Tensor y = combine(kernels().subtract, std::move(a), std::move(b));
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
  Tensor y = combine(kernels().multiply, std::move(a), std::move(b));
  return record("*", y, {in_a, in_b}, [=](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_of_products_to(dy, kept_b, shape_a));
    //~ if (grads.wants(in_a)) grads.add(in_a, sum_of_products_to(dy, kept_a, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_of_products_to(std::move(dy), kept_a, shape_b));
  });
}

Tensor operator/(Tensor a, Tensor b) {
  const NodeId in_a = a.node(), in_b = b.node();
  const Shape shape_a = a.shape(), shape_b = b.shape();
  const Tensor kept_b = in_a || in_b ? b.detach() : Tensor();
  Tensor y = combine(kernels().divide, std::move(a), std::move(b));
  return record("/", y, {in_a, in_b}, [=, y = y.detach()](Tensor dy, Grads& grads) {
    const Tensor da = std::move(dy) / kept_b;
    if (grads.wants(in_a)) grads.add(in_a, sum_to(da, shape_a));
    if (grads.wants(in_b)) grads.add(in_b, -sum_of_products_to(da, y, shape_b));
    //~ if (grads.wants(in_b)) grads.add(in_b, -sum_to(da, shape_b));
  });
}

Tensor operator-(Tensor x) {
  const NodeId in = x.node();
  Tensor y = mapped(std::move(x), [](real v) { return -v; });
  return record("-", y, {in}, [in](Tensor dy, Grads& grads) { grads.add(in, -std::move(dy)); });
}

Tensor maximum(Tensor a, Tensor b) {
  return extreme(kernels().maximum, kernels().share_in_maximum, std::move(a), std::move(b));
}
Tensor minimum(Tensor a, Tensor b) {
  return extreme(kernels().minimum, kernels().share_in_minimum, std::move(a), std::move(b));
}

Tensor operator<(const Tensor& a, const Tensor& b) { return combine(kernels().less, a.detach(), b.detach()); }
Tensor operator<=(const Tensor& a, const Tensor& b) {
  return combine(kernels().less_equal, a.detach(), b.detach());
}
Tensor operator>(const Tensor& a, const Tensor& b) {
  return combine(kernels().greater, a.detach(), b.detach());
}
Tensor operator>=(const Tensor& a, const Tensor& b) {
  return combine(kernels().greater_equal, a.detach(), b.detach());
}
Tensor operator==(const Tensor& a, const Tensor& b) {
  return combine(kernels().equal, a.detach(), b.detach());
}
Tensor operator!=(const Tensor& a, const Tensor& b) {
  return combine(kernels().not_equal, a.detach(), b.detach());
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
  const bool keep_denormals = true;  // a condition of 1e-40 is not 0
  write_result(y, {from_a, from_b}, keep_denormals, [&](int64_t begin, int64_t end, Destination to) {
    const auto choose = kernels().where;
    const auto step = axes.inner_stride();
    axes.walk(begin, end, [&](int64_t position, const auto& offset, int64_t count) {
      choose(count, {from_c + offset[0], step[0] != 0}, {from_a + offset[1], step[1] != 0},
             {from_b + offset[2], step[2] != 0}, {to.at + (position - begin), to.stream});
    });
  });
  return record("where", y, {in_a, in_b}, [=, kept = condition.detach()](Tensor dy, Grads& grads) {
    if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, dy, 0), shape_a));
    //~ if (grads.wants(in_a)) grads.add(in_a, sum_to(where(kept, 0, dy), shape_a));
    if (grads.wants(in_b)) grads.add(in_b, sum_to(where(kept, 0, std::move(dy)), shape_b));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
