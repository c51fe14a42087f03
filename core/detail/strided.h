#pragma once

#include <algorithm>
#include <array>

#include <ballast/core/shape.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// An iteration over a row-major result and K operands, each with its own strides: 0 along an axis over which
/// it is broadcast. Adjacent axes that are one axis for all operands are merged, so that equal shapes, a
/// scalar operand or a bias row give one or two axes.
template <size_t K>
class Strided {
 public:
  using Offsets = std::array<int64_t, K>;

  /// Adds an axis, which becomes the innermost one.
  void add_axis(int64_t size, const Offsets& strides) {
    if (size == 1) return;
    bool merges = rank_ > 0;
    for (size_t k = 0; k < K && merges; ++k) merges = stride(rank_ - 1)[k] == strides[k] * size;
    if (!merges) axes_[rank_++] = {1, {}};
    axes_[rank_ - 1] = {axes_[rank_ - 1].size * size, strides};
  }

  /// At least 1: a single element counts as an axis of size 1.
  size_t rank() const { return rank_ > 0 ? rank_ : 1; }
  int64_t size(size_t axis) const { return axes_[axis].size; }
  const Offsets& stride(size_t axis) const { return axes_[axis].stride; }
  const Offsets& inner_stride() const { return stride(rank() - 1); }

  /// The offsets of the operands' elements for a position in the result.
  Offsets offsets(int64_t position) const { return place(position).offset; }

  /// Calls run(position, offsets, n) for runs of n elements along the innermost axis, which together are
  /// positions begin, ..., end-1 of the result.
  template <class Run>
  void walk(int64_t begin, int64_t end, Run run) const {
    if (begin >= end) return;
    const size_t inner = rank() - 1;
    Place at = place(begin);
    while (true) {
      const int64_t n = std::min(end - begin, size(inner) - at.index[inner]);
      run(begin, at.offset, n);
      begin += n;
      if (begin == end) return;
      // Only the first run begins within its axis.
      if (at.index[inner] > 0) move(at, inner, -at.index[inner]);
      for (size_t axis = inner; axis-- > 0;) {
        move(at, axis, 1);
        if (at.index[axis] < size(axis)) break;
        move(at, axis, -size(axis));
      }
    }
  }

 private:
  struct Axis {
    int64_t size = 1;
    Offsets stride{};
  };
  struct Place {
    std::array<int64_t, Shape::max_rank> index{};
    Offsets offset{};
  };

  Place place(int64_t position) const {
    Place at;
    for (size_t axis = rank(); axis-- > 0; position /= size(axis)) move(at, axis, position % size(axis));
    return at;
  }

  void move(Place& at, size_t axis, int64_t steps) const {
    at.index[axis] += steps;
    for (size_t k = 0; k < K; ++k) at.offset[k] += steps * stride(axis)[k];
  }

  std::array<Axis, Shape::max_rank> axes_{};
  size_t rank_ = 0;
};

/// The iteration over `result` and operands whose shapes broadcast to it.
template <size_t K>
Strided<K> broadcast_walk(const Shape& result, const std::array<Shape, K>& operands) {
  Strided<K> walk;
  for (int axis = 0; axis < result.rank(); ++axis) {
    std::array<int64_t, K> strides{};
    for (size_t k = 0; k < K; ++k) {
      const Shape& shape = operands[k];
      const int own_axis = axis - (result.rank() - shape.rank());
      if (own_axis >= 0 && shape[own_axis] != 1) strides[k] = shape.count(own_axis + 1, shape.rank());
    }
    walk.add_axis(result[axis], strides);
  }
  return walk;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
