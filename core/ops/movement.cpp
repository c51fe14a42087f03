#include <ballast/core/ops/movement.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <type_traits>
#include <utility>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/strided.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

using Order = std::array<int, Shape::max_rank>;

// Elements of a row that are so few that calling a function for each row would take longer than its loop.
constexpr int64_t few = 4;

// Calls f with the number of elements of a row: as a constant if they are few.
template <class F>
void with_length(int64_t length, F f) {
  switch (length) {
    case 1:
      return f(std::integral_constant<int64_t, 1>());
    case 2:
      return f(std::integral_constant<int64_t, 2>());
    case 3:
      return f(std::integral_constant<int64_t, 3>());
    case 4:
      return f(std::integral_constant<int64_t, 4>());
    default:
      return f(length);
  }
}

// Copies `rows` rows of `row_length` elements, or adds them if `add`.
void copy_rows(const real* from, int64_t from_stride, real* to, int64_t to_stride, int64_t rows,
               int64_t row_length, bool add = false) {
  parallel_for(rows, row_grain(row_length), [=](int64_t begin, int64_t end) {
    with_length(row_length, [=](auto length) {
      for (int64_t row = begin; row < end; ++row) {
        const real* source = from + row * from_stride;
        real* target = to + row * to_stride;
        if (!add) {
          std::copy_n(source, length, target);
        } else if (length <= few) {
          for (int64_t i = 0; i < length; ++i) target[i] += source[i];
        } else {
          kernels().add.value(length, {target, true}, {source, true}, {target});
        }
      }
    });
  });
}

// Fills `rows` rows of `stride` elements: row_length of each from element `start` on are those of a row of
// `from`, the others are `value`.
void surround_rows(const real* from, real* to, int64_t stride, int64_t start, int64_t rows,
                   int64_t row_length, real value) {
  const int64_t after = start + row_length;
  const auto fill = [value](real* at, int64_t count) {
    constexpr int64_t many = 64;
    if (value == 0 && count >= many) return std::fill_n(at, count, real{0});  // by memset
    return std::fill_n(at, count, value);
  };
  parallel_for(rows, row_grain(stride), [=](int64_t begin, int64_t end) {
    with_length(row_length, [=](auto length) {
      for (int64_t row = begin; row < end; ++row) {
        real* target = to + row * stride;
        fill(target, start);
        std::copy_n(from + row * length, length, target + start);
        fill(target + after, stride - after);
        //~ fill(target + after, stride - after - 1);
      }
    });
  });
}

void clear_rows(real* to, int64_t stride, int64_t rows, int64_t length) {
  if (length == stride) length *= std::exchange(rows, 1);
  for (int64_t row = 0; row < rows; ++row) std::fill_n(to + row * stride, length, real{0});
}

// Matrices with more than `few` rows and columns are transposed in tiles of which both matrices' rows stay in
// L1 between the blocks of registers.
constexpr int64_t tile_side = 64;

// to[row][column] = from[column][row] for few rows or few columns, such as the channels of colour images.
void transpose_few(const real* from, int64_t from_stride, real* to, int64_t to_stride, int64_t rows,
                   int64_t columns) {
  if (rows <= few) {
    with_length(rows, [=](auto count) {
      for (int64_t column = 0; column < columns; ++column) {
        for (int64_t row = 0; row < count; ++row)
          to[row * to_stride + column] = from[column * from_stride + row];
      }
    });
  } else {
    with_length(columns, [=](auto count) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < count; ++column)
          to[row * to_stride + column] = from[column * from_stride + row];
      }
    });
  }
}

// Transposes x's contiguous axis, which isn't the result's last one, with that, in tiles.
void transpose_axes(const Strided<1>& axes, const real* from, real* to) {
  const size_t last = axes.rank() - 1;
  size_t next = 0;
  while (axes.stride(next)[0] != 1) ++next;
  std::array<int64_t, Shape::max_rank> result_strides{};
  int64_t result_stride = 1, outer = 1;
  for (size_t axis = last + 1; axis-- > 0; result_stride *= axes.size(axis))
    result_strides[axis] = result_stride;
  Strided<2> others;
  for (size_t axis = 0; axis < last; ++axis) {
    if (axis == next) continue;
    others.add_axis(axes.size(axis), {axes.stride(axis)[0], result_strides[axis]});
    outer *= axes.size(axis);
  }
  const int64_t rows = axes.size(next), columns = axes.size(last), from_stride = axes.stride(last)[0];
  const int64_t to_stride = result_strides[next];
  const bool thin = std::min(rows, columns) <= few;
  const int64_t most_rows = thin ? divide_up(elementwise_grain, columns) : tile_side,
                strips = divide_up(rows, most_rows);
  const int64_t grain = row_grain(columns * std::min(rows, most_rows));
  parallel_for(outer * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      const auto offset = others.offsets(strip / strips);
      const int64_t row = strip % strips * most_rows, height = std::min(most_rows, rows - row);
      //~ const int64_t row = strip % strips * tile_side, height = std::min(most_rows, rows - row);
      const real* source = from + offset[0] + row;
      real* target = to + offset[1] + row * to_stride;
      if (thin) {
        transpose_few(source, from_stride, target, to_stride, height, columns);
        continue;
      }
      for (int64_t column = 0; column < columns; column += tile_side)
        kernels().transpose_tile(std::min(tile_side, columns - column), height, source + column * from_stride,
                                 from_stride, target + column, to_stride);
    }
  });
}

Tensor permuted(Tensor x, const Order& order) {
  const Shape& shape = x.shape();
  std::array<int64_t, Shape::max_rank> sizes{};
  Strided<1> axes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int source = order[static_cast<size_t>(axis)];
    sizes[static_cast<size_t>(axis)] = shape[source];
    axes.add_axis(shape[source], {shape.count(source + 1, shape.rank())});
  }
  const Shape result(sizes.data(), shape.rank());
  // If only axes of size 1 moved, the elements are in order.
  if (axes.rank() == 1 || shape.count() == 0) return std::move(x).viewed_as(result);
  Tensor y(result);
  const real* from = x.data();
  real* to = y.data();
  if (axes.inner_stride()[0] == 1) {
    parallel_for(y.count(), elementwise_grain, [&](int64_t begin, int64_t end) {
      axes.walk(begin, end, [&](int64_t position, const auto& offset, int64_t count) {
        std::copy_n(from + offset[0], count, to + position);
      });
    });
  } else {
    transpose_axes(axes, from, to);
  }
  return y;
}

Tensor permute(Tensor x, const Order& order) {
  const NodeId in = x.node();
  Order inverse{};
  for (size_t axis = 0; axis < static_cast<size_t>(x.rank()); ++axis)
    inverse[static_cast<size_t>(order[axis])] = static_cast<int>(axis);
  //~ inverse[axis] = order[axis];
  Tensor y = permuted(std::move(x), order);
  return record("permute", y, {in}, [in, inverse](Tensor dy, Grads& grads) {
    if (grads.wants(in)) grads.add(in, permuted(std::move(dy), inverse));
  });
}

// The slices of x along `axis` at position(p), for p = 0, ..., count-1.
template <class Position>
Tensor picked(const Tensor& x, int axis, int64_t count, Position position) {
  const Shape& shape = x.shape();
  const int64_t size = shape[axis], outer = shape.count(0, axis), inner = shape.count(axis + 1, shape.rank());
  Tensor y(shape.with(axis, count));
  const real* from = x.data();
  real* to = y.data();
  parallel_for(outer * count, row_grain(inner), [=](int64_t begin, int64_t end) {
    with_length(inner, [=](auto length) {
      for (int64_t row = begin; row < end;) {
        const int64_t block = row / count, first = row - block * count;
        const int64_t last = std::min(count, first + end - row);
        const real* source = from + block * size * length;
        real* target = to + block * count * length;
        BALLAST_INDEPENDENT
        for (int64_t p = first; p < last; ++p)
          std::copy_n(source + position(p) * length, length, target + p * length);
        row += last - first;
      }
    });
  });
  return y;
}

Tensor flipped(const Tensor& x, int axis) {
  const int64_t size = x.size(axis);
  return picked(x, axis, size, [=](int64_t p) { return size - 1 - p; });
}

// Concatenates the parts along an axis. `outer` is the product of the sizes before that axis; for each of
// these indices, the elements of a part are contiguous.
Tensor join(const char* op, std::span<const Tensor> parts, const Shape& shape, int64_t outer) {
  struct Part {
    Shape shape;
    int64_t length;
  };
  const int64_t count = static_cast<int64_t>(parts.size());
  const Scratch<Part> joined(count);
  const Scratch<NodeId> nodes(count);
  Tensor y(shape);
  const int64_t stride = outer ? shape.count() / outer : 0;
  int64_t at = 0;
  for (int64_t p = 0; p < count; ++p) {
    const Tensor& part = parts[static_cast<size_t>(p)];
    const int64_t length = outer ? part.count() / outer : 0;
    nodes[p] = part.node();
    joined[p] = {part.shape(), length};
    copy_rows(part.data(), length, y.data() + at, stride, outer, length);
    at += length;
  }
  const std::span<const NodeId> inputs(nodes.data(), parts.size());
  return record(op, y, inputs, [=](Tensor dy, Grads& grads) {
    const real* from = dy.data();
    for (int64_t p = 0; p < count; from += joined[p++].length) {
      const int64_t length = joined[p].length;
      grads.write(nodes[p], joined[p].shape,
                  [&](real* g, real beta) { copy_rows(from, stride, g, length, outer, length, beta != 0); });
      //~ [&](real* g, real beta) { copy_rows(from, stride, g, length, outer, length, false); });
    }
  });
}

}  // namespace

Tensor reshape(Tensor x, const std::initializer_list<int64_t>& sizes) {
  int64_t known = 1;
  int open = -1, axis = 0;
  for (int64_t size : sizes) {
    check<ShapeError>(size >= 0 || (size == -1 && open < 0),
                      "reshape: one size may be -1, for what is left over of shape {}; no other may be "
                      "negative",
                      x.shape());
    if (size == -1) open = axis;
    if (size >= 0) known *= size;
    ++axis;
  }
  if (open < 0) return reshape(std::move(x), Shape(sizes));
  check<ShapeError>(known > 0 && x.count() % known == 0,
                    "reshape: a tensor of shape {} has {} elements, which the sizes given ({} elements "
                    "beside the -1) don't divide",
                    x.shape(), x.count(), known);
  std::array<int64_t, Shape::max_rank> filled{};
  check<ShapeError>(axis <= Shape::max_rank, "a tensor has at most {} axes, not {}", Shape::max_rank, axis);
  std::copy(sizes.begin(), sizes.end(), filled.begin());
  filled[static_cast<size_t>(open)] = x.count() / known;
  return reshape(std::move(x), Shape(filled.data(), axis));
}

Tensor reshape(Tensor x, const Shape& shape) {
  check<ShapeError>(x.count() == shape.count(),
                    "reshape: a tensor of shape {} has {} elements; shape {} needs {}", x.shape(), x.count(),
                    shape, shape.count());
  if (x.shape() == shape) return x;
  const NodeId in = x.node();
  const Shape x_shape = x.shape();
  Tensor y = std::move(x).viewed_as(shape);
  return record("reshape", y, {in},
                [in, x_shape](Tensor dy, Grads& grads) { grads.add(in, std::move(dy).viewed_as(x_shape)); });
}

Tensor flatten(Tensor x, int first_axis) {
  first_axis = x.shape().axis(first_axis, "flatten");
  Shape shape(x.shape().begin(), first_axis + 1);
  shape = shape.with(first_axis, x.shape().count(first_axis, x.rank()));
  return reshape(std::move(x), shape);
}

Tensor permute(Tensor x, std::initializer_list<int> order) {
  check<ShapeError>(static_cast<int>(order.size()) == x.rank(),
                    "permute: {} axes listed for a tensor of shape {}", order.size(), x.shape());
  Order axes{};
  std::array<bool, Shape::max_rank> seen{};
  size_t to = 0;
  for (int axis : order) {
    axis = x.shape().axis(axis, "permute");
    bool& listed = seen[static_cast<size_t>(axis)];
    check<ShapeError>(!listed, "permute: axis {} of a tensor of shape {} is listed twice", axis, x.shape());
    listed = true;
    axes[to++] = axis;
  }
  return permute(std::move(x), axes);
}

Tensor transpose(Tensor x, int axis_a, int axis_b) {
  Order order{};
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(x.shape().axis(axis_a, "transpose"))],
            order[static_cast<size_t>(x.shape().axis(axis_b, "transpose"))]);
  return permute(std::move(x), order);
}

Tensor slice(Tensor x, int axis, int64_t begin, int64_t end) {
  const Shape shape = x.shape();
  axis = shape.axis(axis, "slice");
  const int64_t size = shape[axis];
  const int64_t from = begin < 0 ? begin + size : begin, stop = end < 0 ? end + size : end;
  check<ValueError>(
      0 <= from && from <= stop && stop <= size,
      "slice: positions {} to {} on axis {} of a tensor of shape {}; they must be in order, and from 0 to {}",
      begin, end, axis, shape, size);
  const NodeId in = x.node();
  const int64_t outer = shape.count(0, axis), inner = shape.count(axis + 1, shape.rank());
  const int64_t length = (stop - from) * inner, stride = size * inner, start = from * inner;
  Tensor y(shape.with(axis, stop - from));
  copy_rows(x.data() + start, stride, y.data(), length, outer, length);
  return record("slice", y, {in}, [=](Tensor dy, Grads& grads) {
    grads.write(in, shape, [&](real* g, real beta) {
      if (beta == 0) {
        surround_rows(dy.data(), g, stride, start, outer, length, 0);
      } else {
        copy_rows(dy.data(), length, g + start, stride, outer, length, true);
        //~ copy_rows(dy.data(), length, g, stride, outer, length, true);
      }
    });
  });
}

Tensor concat(std::span<const Tensor> parts, int axis) {
  check<ShapeError>(!parts.empty(), "concat: no tensors given");
  const Shape& first = parts[0].shape();
  axis = first.axis(axis, "concat");
  int64_t size = 0;
  for (const Tensor& part : parts) {
    check<ShapeError>(part.rank() == first.rank() && part.shape().with(axis, 0) == first.with(axis, 0),
                      "concat: shapes {} and {} differ in more than axis {}", first, part.shape(), axis);
    size += part.shape()[axis];
  }
  return join("concat", parts, first.with(axis, size), first.count(0, axis));
}

Tensor concat(std::initializer_list<Tensor> parts, int axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}

Tensor stack(std::span<const Tensor> parts, int axis) {
  check<ShapeError>(!parts.empty(), "stack: no tensors given");
  const Shape& first = parts[0].shape();
  const int rank = first.rank();
  check<ShapeError>(axis >= -rank - 1 && axis <= rank, "stack: axis {} for tensors of shape {}", axis, first);
  if (axis < 0) axis += rank + 1;
  for (const Tensor& part : parts)
    check<ShapeError>(part.shape() == first, "stack: shapes {} and {} differ", first, part.shape());
  return join("stack", parts, first.inserted(axis, static_cast<int64_t>(parts.size())), first.count(0, axis));
}

Tensor stack(std::initializer_list<Tensor> parts, int axis) {
  return stack(std::span(parts.begin(), parts.size()), axis);
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int axis) {
  axis = x.shape().axis(axis, "split");
  check<ValueError>(size >= 1, "split: parts of {} positions; they must have at least 1", size);
  std::vector<Tensor> parts;
  const int64_t all = x.size(axis);
  for (int64_t begin = 0; begin < all; begin += size)
    parts.push_back(slice(x, axis, begin, std::min(begin + size, all)));
  return parts;
}

Tensor pad(Tensor x, int axis, int64_t before, int64_t after, real value) {
  const Shape shape = x.shape();
  axis = shape.axis(axis, "pad");
  check<ValueError>(before >= 0 && after >= 0, "pad: {} and {} positions; both must be at least 0", before,
                    after);
  const NodeId in = x.node();
  const int64_t outer = shape.count(0, axis), inner = shape.count(axis + 1, shape.rank());
  const int64_t padded = before + shape[axis] + after;
  const int64_t length = shape[axis] * inner, stride = padded * inner, start = before * inner;
  Tensor y(shape.with(axis, padded));
  surround_rows(x.data(), y.data(), stride, start, outer, length, value);
  return record("pad", y, {in}, [=](Tensor dy, Grads& grads) {
    grads.write(in, shape, [&](real* g, real beta) {
      copy_rows(dy.data() + start, stride, g, length, outer, length, beta != 0);
      //~ copy_rows(dy.data(), stride, g, length, outer, length, beta != 0);
    });
  });
}

Tensor flip(Tensor x, int axis) {
  axis = x.shape().axis(axis, "flip");
  const NodeId in = x.node();
  Tensor y = flipped(x, axis);
  return record("flip", y, {in}, [=](Tensor dy, Grads& grads) { grads.add(in, flipped(dy, axis)); });
  //~ return record("flip", y, {in}, [=](Tensor dy, Grads& grads) { grads.add(in, dy); });
}

Tensor one_hot(const Labels& labels, int64_t classes) {
  Tensor y = zeros({labels.size(), classes});
  for (int64_t n = 0; n < labels.size(); ++n) {
    check<ValueError>(labels[n] >= 0 && labels[n] < classes,
                      "one_hot: label {} at index {} is not in 0 ... {}", labels[n], n, classes - 1);
    y(n, labels[n]) = 1;
  }
  return y;
}

Tensor gather(Tensor x, const Labels& positions, int axis) {
  const Shape shape = x.shape();
  axis = shape.axis(axis, "gather");
  const int64_t size = shape[axis], outer = shape.count(0, axis), found = positions.size();
  const int64_t inner = shape.count(axis + 1, shape.rank());
  for (int64_t p = 0; p < found; ++p)
    check<ValueError>(positions[p] >= 0 && positions[p] < size,
                      "gather: position {} at index {} is not in 0 ... {}", positions[p], p, size - 1);
  const NodeId in = x.node();
  Tensor y = picked(x, axis, found, [at = positions.data()](int64_t p) { return at[p]; });
  return record("gather", y, {in}, [=, positions = positions](Tensor dy, Grads& grads) {
    grads.write(in, shape, [&](real* g, real beta) {
      // Partitioned by columns, so that the gradients of one element are added in the order of the positions.
      constexpr int64_t width = 64;
      const int64_t across = divide_up(inner, width);
      parallel_for(outer * across, row_grain((size + found) * width), [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
          const int64_t column = block % across * width, columns = std::min(width, inner - column);
          const real* source = dy.data() + block / across * found * inner + column;
          real* target = g + block / across * size * inner + column;
          if (beta == 0) clear_rows(target, inner, size, columns);
          //~ clear_rows(target, inner, size, columns);
          with_length(columns, [=, at = positions.data()](auto length) {
            for (int64_t p = 0; p < found; ++p) {
              for (int64_t i = 0; i < length; ++i) target[at[p] * inner + i] += source[p * inner + i];
              //~ for (int64_t i = 0; i < length; ++i) target[at[p] * inner + i] = source[p * inner + i];
            }
          });
        }
      });
    });
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
