#include <ballast/core/shape.h>

#include <algorithm>

namespace ballast::inline BALLAST_PRECISION {

Shape::Shape(const int64_t* sizes, int64_t rank) : rank_(static_cast<int>(rank)) {
  check<ShapeError>(rank <= max_rank, "a tensor has at most {} axes, not {}", max_rank, rank);
  std::copy_n(sizes, rank, sizes_.begin());
  bool empty = false;
  for (int64_t size : *this) {
    check<ShapeError>(size >= 0, "the sizes of a shape can't be negative: {}", *this);
    empty |= size == 0;
  }
  for (int64_t size : *this) {
    check<ShapeError>(empty || !__builtin_mul_overflow(count_, size, &count_),
                      "a tensor of shape {} is too large", *this);
  }
  // 2^60 elements leave room for a byte count that can't overflow either.
  check<ShapeError>(empty || count_ < (int64_t{1} << 60), "a tensor of shape {} is too large", *this);
  if (empty) count_ = 0;
}

int Shape::axis(int axis, const char* what) const {
  check<ShapeError>(axis >= -rank_ && axis < rank_, "{}: axis {} of a tensor of shape {}, which has {} axes",
                    what, axis, *this, rank_);
  return axis < 0 ? axis + rank_ : axis;
}

int64_t Shape::count(int first, int last) const {
  int64_t product = 1;
  for (int a = first; a < last; ++a) product *= sizes_[static_cast<size_t>(a)];
  return product;
}

Shape Shape::with(int axis, int64_t size) const {
  auto sizes = sizes_;
  sizes[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)] = size;
  return {sizes.data(), rank_};
}

Shape Shape::without(int axis) const {
  auto sizes = sizes_;
  std::copy(sizes_.begin() + axis + 1, sizes_.begin() + rank_, sizes.begin() + axis);
  return {sizes.data(), rank_ - 1};
}

Shape Shape::inserted(int axis, int64_t size) const {
  check<ShapeError>(rank_ < max_rank, "a tensor of shape {} can't get another axis", *this);
  auto sizes = sizes_;
  std::copy(sizes_.begin() + axis, sizes_.begin() + rank_, sizes.begin() + axis + 1);
  sizes[static_cast<size_t>(axis)] = size;
  return {sizes.data(), rank_ + 1};
}

std::string Shape::str() const {
  std::string text = "(";
  for (int a = 0; a < rank_; ++a) text += fmt::format("{}{}", a ? ", " : "", sizes_[static_cast<size_t>(a)]);
  return text + ")";
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, Shape::max_rank> sizes{};
  for (int i = 1; i <= rank; ++i) {
    const int64_t size_a = i <= a.rank() ? a[-i] : 1, size_b = i <= b.rank() ? b[-i] : 1;
    check<ShapeError>(
        size_a == size_b || size_a == 1 || size_b == 1,
        "{}: shapes {} and {} don't broadcast; matched from the last axis, sizes must agree or be 1", op, a,
        b);
    sizes[static_cast<size_t>(rank - i)] = size_a == 1 ? size_b : size_a;
  }
  return {sizes.data(), rank};
}

}  // namespace ballast::inline BALLAST_PRECISION
