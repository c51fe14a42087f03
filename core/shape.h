#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// The sizes of a tensor's axes, outermost first: at most 6, each >= 0, held inline.
/// A negative axis number counts from the end, as in `shape[-1]`. A scalar has rank 0 and one element.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), static_cast<int64_t>(sizes.size())) {}
  Shape(const int64_t* sizes, int64_t rank);

  int rank() const { return rank_; }
  /// Number of elements, the product of the sizes.
  int64_t count() const { return count_; }
  /// Throws ShapeError when there is no such axis.
  int64_t operator[](int axis) const {
    const int from_front = axis < 0 ? axis + rank_ : axis;
    if (from_front < 0 || from_front >= rank_) this->axis(axis, "shape[axis]");
    return sizes_[static_cast<size_t>(from_front)];
  }
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }

  /// `axis` as 0 ... rank-1; throws ShapeError naming `what` when there is no such axis.
  int axis(int axis, const char* what) const;
  /// Product of the sizes of axes first, ..., last-1.
  int64_t count(int first, int last) const;
  /// The same shape with one axis resized, removed, or inserted before `axis`.
  Shape with(int axis, int64_t size) const;
  Shape without(int axis) const;
  Shape inserted(int axis, int64_t size) const;

  bool operator==(const Shape& other) const {
    bool equal = rank_ == other.rank_;
    for (int axis = 0; axis < rank_ && equal; ++axis) equal = begin()[axis] == other.begin()[axis];
    return equal;
  }
  /// "(32, 1, 28, 28)"
  std::string str() const;

 private:
  std::array<int64_t, max_rank> sizes_{};
  int64_t count_ = 1;
  int rank_ = 0;
};

/// The shape two operands have in common after broadcasting, by NumPy's rule: axes are matched from the last,
/// sizes must agree or be 1. Throws ShapeError naming `op` when they don't.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace ballast::inline BALLAST_PRECISION

template <>
struct fmt::formatter<ballast::Shape> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ballast::Shape& shape, fmt::format_context& context) const {
    const std::string text = shape.str();
    return std::copy(text.begin(), text.end(), context.out());
  }
};
