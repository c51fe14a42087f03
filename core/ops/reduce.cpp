#include <ballast/core/ops/reduce.h>

#include <algorithm>
#include <array>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/strided.h>
#include <ballast/core/detail/sum_of_products.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// The axes before the reduced ones, the reduced ones, and those after them, each merged into one.
struct Extent {
  int64_t outer, n, inner;
};

using Chosen = std::array<bool, Shape::max_rank>;

// Calls x = reduce(x, extent, shape of the result) for each run of adjacent chosen axes, the innermost run
// first; reduced axes keep size 1.
template <class Reduce>
Tensor reduce_runs(Tensor x, const Chosen& chosen, Reduce reduce) {
  const auto is_chosen = [&](int axis) { return chosen[static_cast<size_t>(axis)]; };
  for (int last = x.rank(); last > 0; --last) {
    if (!is_chosen(last - 1)) continue;
    int first = last - 1;
    while (first > 0 && is_chosen(first - 1)) --first;
    const Shape shape = x.shape();
    Shape reduced = shape;
    for (int axis = first; axis < last; ++axis) reduced = reduced.with(axis, 1);
    x = reduce(std::move(x),
               {shape.count(0, first), shape.count(first, last), shape.count(last, shape.rank())}, reduced);
    last = first + 1;
  }
  return x;
}

// reduce_runs for the listed axes, which are then removed unless `keep_axes`.
template <class Reduce>
Tensor reduce_axes(const char* op, Tensor x, std::initializer_list<int> axes, bool keep_axes, Reduce reduce) {
  Chosen chosen{};
  for (int axis : axes) {
    bool& entry = chosen[static_cast<size_t>(x.shape().axis(axis, op))];
    check<ShapeError>(!entry, "{}: axis {} of a tensor of shape {} is listed twice", op, axis, x.shape());
    entry = true;
  }
  Shape kept = x.shape();
  for (int axis = x.rank(); axis-- > 0 && !keep_axes;)
    if (chosen[static_cast<size_t>(axis)]) kept = kept.without(axis);
  Tensor y = reduce_runs(std::move(x), chosen, reduce);
  return keep_axes ? y : reshape(std::move(y), kept);
}

// Sum over the middle axis, divided by `divisor`. The work is partitioned into blocks of rows and columns,
// whose sums are then added in order. With a factor, which takes e.inner = 1, it is the sum of x times
// factor.
Tensor add_up_middle(const Tensor& x, const Extent& e, const Shape& shape, double divisor,
                     const Tensor& factor = {}) {
  if (x.count() == 0) return full(shape, static_cast<real>(0 / divisor));
  const int64_t width = std::min<int64_t>(e.inner, 256), height = std::min(e.n, elementwise_grain / width);
  const int64_t across = divide_up(e.inner, width), down = divide_up(e.n, height);
  const Scratch<double> parts(e.outer * down * e.inner);
  parallel_for(e.outer * down * across, row_grain(width * height), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t column = block % across * width, row = block / across % down * height;
      const int64_t outer = block / across / down;
      const int64_t rows = std::min(height, e.n - row), columns = std::min(width, e.inner - column);
      const real* from = x.data() + (outer * e.n + row) * e.inner + column;
      double* to = &parts[(block / across) * e.inner + column];
      if (!factor.empty()) {
        *to = kernels().dot(from, factor.data() + (from - x.data()), rows);
        //~ *to = kernels().dot(from, factor.data(), rows);
      } else if (e.inner == 1) {
        *to = kernels().sum(from, rows);
      } else {
        kernels().column_sums(rows, columns, e.inner, from, to);
      }
    }
  });
  Tensor y(shape);
  real* to = y.data();
  parallel_for(y.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double* part = &parts[i / e.inner * down * e.inner + i % e.inner];
      double sum = 0;
      for (int64_t d = 0; d < down; ++d) sum += part[d * e.inner];
      to[i] = static_cast<real>(sum / divisor);
    }
  });
  return y;
}

// x / divisor repeated along the middle axis: the adjoint of add_up_middle.
Tensor spread(const Tensor& x, const Extent& e, const Shape& shape, double divisor) {
  Tensor y(shape);
  real* to = y.data();
  const real* from = x.data();
  const real scale = static_cast<real>(1 / divisor);
  //~ const real scale = static_cast<real>(divisor / divisor);
  Strided<1> axes;
  axes.add_axis(e.outer, {e.inner});
  axes.add_axis(e.n, {0});
  axes.add_axis(e.inner, {1});
  parallel_for(shape.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
    const int64_t step = axes.inner_stride()[0];
    axes.walk(begin, end, [&](int64_t position, const auto& offset, int64_t count) {
      if (step == 0) {
        std::fill_n(to + position, count, from[offset[0]] * scale);
      } else {
        for (int64_t i = 0; i < count; ++i) to[position + i] = from[offset[0] + i * step] * scale;
      }
    });
  });
  return y;
}

Tensor sum_middle(const char* op, Tensor x, const Extent& e, const Shape& shape, double divisor) {
  const NodeId in = x.node();
  Tensor y = add_up_middle(x, e, shape, divisor);
  return record(op, y, {in}, [=, x_shape = x.shape()](Tensor dy, Grads& grads) {
    if (grads.wants(in)) grads.add(in, spread(dy, e, x_shape, divisor));
  });
}

// The index along the middle axis of the first largest element; NaN counts as largest.
Labels arg_max_middle(const Tensor& x, const Extent& e) {
  Labels found(e.outer * e.inner);
  parallel_for(found.size(), row_grain(e.n), [&](int64_t begin, int64_t end) {
    const KeepDenormals denormals;  // which may be the largest elements
    for (int64_t i = begin; i < end; ++i) {
      const real* from = x.data() + i / e.inner * e.n * e.inner + i % e.inner;
      int64_t best = 0;
      real largest = *from;
      for (int64_t n = 1; n < e.n; ++n) {
        const real v = from[n * e.inner];
        if (v > largest || (v != v && largest == largest)) {
          largest = v;
          best = n;
        }
      }
      found[i] = static_cast<int32_t>(best);
    }
  });
  return found;
}

Tensor max_middle(Tensor x, const Extent& e, const Shape& shape) {
  check<ShapeError>(e.n > 0, "max: a tensor of shape {} has no largest element", x.shape());
  const NodeId in = x.node();
  Tensor y(shape);
  const Labels where = arg_max_middle(x, e);
  const auto position = [where, e](int64_t i) {
    return (i / e.inner * e.n + where[i]) * e.inner + i % e.inner;
  };
  for (int64_t i = 0; i < y.count(); ++i) y.data()[i] = x.data()[position(i)];
  return record("max", y, {in}, [=, x_shape = x.shape()](Tensor dy, Grads& grads) {
    grads.write(in, x_shape, [&](real* g, real beta) {
      if (beta == 0) std::fill_n(g, x_shape.count(), real{0});
      for (int64_t i = 0; i < dy.count(); ++i) g[position(i)] += dy.data()[i];
      //~ for (int64_t i = 0; i < dy.count(); ++i) g[position(i)] = dy.data()[i];
    });
  });
}

Extent whole(const Tensor& x) { return {1, x.count(), 1}; }

}  // namespace

Tensor sum(Tensor x) {
  const Extent e = whole(x);
  return sum_middle("sum", std::move(x), e, {}, 1);
}

Tensor sum(Tensor x, std::initializer_list<int> axes, bool keep_axes) {
  return reduce_axes("sum", std::move(x), axes, keep_axes, [](Tensor y, const Extent& e, const Shape& shape) {
    return sum_middle("sum", std::move(y), e, shape, 1);
  });
}

Tensor mean(Tensor x) {
  const Extent e = whole(x);
  return sum_middle("mean", std::move(x), e, {}, static_cast<double>(e.n));
}

Tensor mean(Tensor x, std::initializer_list<int> axes, bool keep_axes) {
  return reduce_axes("mean", std::move(x), axes, keep_axes,
                     [](Tensor y, const Extent& e, const Shape& shape) {
                       return sum_middle("mean", std::move(y), e, shape, static_cast<double>(e.n));
                     });
}

Tensor max(Tensor x) {
  const Extent e = whole(x);
  return max_middle(std::move(x), e, {});
}

Tensor max(Tensor x, std::initializer_list<int> axes, bool keep_axes) {
  return reduce_axes("max", std::move(x), axes, keep_axes, [](Tensor y, const Extent& e, const Shape& shape) {
    return max_middle(std::move(y), e, shape);
  });
}

Tensor min(Tensor x) { return -max(-std::move(x)); }
Tensor min(Tensor x, std::initializer_list<int> axes, bool keep_axes) {
  return -max(-std::move(x), axes, keep_axes);
}

namespace {

// What the squared distances of so many numbers are divided by; 0, which gives NaN or infinity, where that is
// none.
real degrees_of_freedom(int64_t count, int64_t correction) {
  return static_cast<real>(std::max<int64_t>(count - correction, 0));
  //~ return static_cast<real>(count - correction);
  //~ return static_cast<real>(count);
}

}  // namespace

Tensor var(Tensor x, int64_t correction) {
  const real freedom = degrees_of_freedom(x.count(), correction);
  const Tensor distances = x - mean(x);
  return sum(pow(distances, 2)) / freedom;
}

Tensor var(Tensor x, std::initializer_list<int> axes, int64_t correction, bool keep_axes) {
  int64_t count = 1;
  for (const int axis : axes) count *= x.size(axis);
  const Tensor distances = x - mean(x, axes, true);
  return sum(pow(distances, 2), axes, keep_axes) / degrees_of_freedom(count, correction);
}

Labels argmax(const Tensor& x) {
  const int64_t n = x.size(x.shape().axis(-1, "argmax"));
  check<ShapeError>(n > 0, "argmax: a tensor of shape {} has no largest element", x.shape());
  return arg_max_middle(x, {x.count() / n, n, 1});
}

Tensor sum_to(Tensor x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Chosen chosen{};
  const int added = x.rank() - shape.rank();
  for (int axis = 0; axis < x.rank(); ++axis)
    chosen[static_cast<size_t>(axis)] = axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1);
  const auto reduce = [](const Tensor& y, const Extent& e, const Shape& reduced) {
    return add_up_middle(y, e, reduced, 1);
  };
  return reduce_runs(std::move(x), chosen, reduce).viewed_as(shape);
}

Tensor detail::sum_of_products_to(Tensor a, const Tensor& b, const Shape& shape) {
  const int added = a.rank() - shape.rank();
  int first = a.rank();  // of the axes at the end that are summed
  while (first > 0 && (first <= added || shape[first - 1 - added] == 1)) --first;
  const Extent e = {a.shape().count(0, first), a.shape().count(first, a.rank()), 1};
  if (a.shape() != b.shape() || e.n == 1) return sum_to(std::move(a) * b, shape);
  Shape reduced = a.shape();
  for (int axis = first; axis < a.rank(); ++axis) reduced = reduced.with(axis, 1);
  return sum_to(add_up_middle(a, e, reduced, 1, b), shape);
}

}  // namespace ballast::inline BALLAST_PRECISION
