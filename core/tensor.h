#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <ballast/core/shape.h>
#include <ballast/core/storage.h>

namespace ballast::inline BALLAST_PRECISION {

/// Index of the tape's node that computed a tensor; -1 if no gradient flows into it.
struct NodeId {
  int32_t index = -1;
  explicit operator bool() const { return index >= 0; }
};

/// A value: a shape and its elements, contiguous in row-major order. Copies share the elements (a write
/// through one is seen through all; `clone` copies them), reshaping is free. Of rank 0 to 6; the element type
/// is `real`.
class Tensor {
 public:
  /// No tensor at all: `empty()` is true.
  Tensor() = default;
  /// Uninitialized elements; see `zeros`, `full`, `tensor` ... for initialized ones.
  explicit Tensor(const Shape& shape);
  /// `Tensor x({n})` has n elements, whatever the integer type of n: braces hold sizes.
  explicit Tensor(std::initializer_list<int64_t> sizes) : Tensor(Shape(sizes)) {}
  /// A scalar.
  Tensor(real value);

  bool empty() const { return !storage_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Number of elements; 0 if there is no tensor.
  int64_t count() const { return empty() ? 0 : shape_.count(); }
  int64_t size(int axis) const { return shape_[shape_.axis(axis, "size")]; }

  /// Throws UsageError if there is no tensor.
  real* data() {
    if (empty()) [[unlikely]]
      throw_empty();
    return static_cast<real*>(storage_->data);
  }
  const real* data() const { return const_cast<Tensor*>(this)->data(); }
  std::span<const real> values() const { return {data(), static_cast<size_t>(count())}; }

  /// The only element; throws ShapeError when there are more or fewer.
  real item() const;
  /// The element at an index per axis, checked: `x(n, c, h, w)`. Negative indices count from the end.
  template <class... Index>
  real operator()(Index... index) const {
    return data()[offset({static_cast<int64_t>(index)...})];
  }
  template <class... Index>
  real& operator()(Index... index) {
    return data()[offset({static_cast<int64_t>(index)...})];
  }

  /// A copy of the elements, not recorded.
  Tensor clone() const;
  /// The same elements, detached from the tape: no gradient flows through it, not even into a parameter.
  Tensor detach() const;

  /// Nested brackets as NumPy prints them, long axes abbreviated.
  std::string str() const;

  // For operations (see core/tape.h)
  // ----------------------------------------------------------------------------------
  /// This tensor's node on the recording tape. Throws UsageError if it was recorded on another tape.
  NodeId node() const;
  const StorageRef& storage() const { return storage_; }
  Tensor(const Shape& shape, StorageRef storage) : shape_(shape), storage_(std::move(storage)) {}
  /// The same elements and node under another shape of equal count.
  Tensor viewed_as(const Shape& shape) const&;
  Tensor viewed_as(const Shape& shape) &&;

 private:
  friend class Tape;
  static constexpr uint64_t detached = ~uint64_t{0};
  int64_t offset(std::initializer_list<int64_t> index) const;
  [[noreturn]] static void throw_empty();

  Shape shape_;
  StorageRef storage_;
  uint64_t tape_ = 0;  // serial of the tape that recorded it; 0: none; detached: not as a parameter either
  NodeId node_;
};

/// Whether an operation may overwrite x: nobody else holds its elements, and they aren't a parameter's or a
/// buffer's.
inline bool solely_held(const Tensor& x) {
  const StorageRef& storage = x.storage();
  return storage->references.load(std::memory_order_acquire) == 1 && storage->role == Role::value;
}
/// `x` itself when it may be overwritten, else a copy.
Tensor own(Tensor x);

/// Whether no element is NaN or infinite.
bool all_finite(const Tensor& x);

Tensor zeros(const Shape& shape);
Tensor ones(const Shape& shape);
Tensor full(const Shape& shape, real value);
/// 0, 1, ..., count-1
Tensor arange(int64_t count);
/// A copy of `values` in row-major order; throws ShapeError unless their number fits the shape.
Tensor tensor(std::span<const real> values, const Shape& shape);

/// A number, or a list of nested lists: the argument type of `tensor({{1, 2}, {3, 4}})`.
struct NestedList {
  NestedList(real number) : value(number) {}
  NestedList(std::initializer_list<NestedList> list) : rows(list), is_list(true) {}
  real value = 0;
  std::initializer_list<NestedList> rows;
  bool is_list = false;
};
/// From nested lists: `tensor({1, 2})` is (2), `tensor({{1, 2}, {3, 4}})` is (2, 2), and so on. Throws
/// ShapeError unless all lists of one level are of one length, at least 1.
Tensor tensor(const NestedList& list);

/// Small whole numbers, one per sample: class labels, or the indices that `argmax` finds and `gather` takes.
class Labels {
 public:
  Labels() = default;
  /// Uninitialized.
  explicit Labels(int64_t count);
  Labels(std::initializer_list<int32_t> values);
  explicit Labels(std::span<const int32_t> values);

  int64_t size() const { return size_; }
  int32_t* data() { return static_cast<int32_t*>(storage_->data); }
  const int32_t* data() const { return static_cast<const int32_t*>(storage_->data); }
  int32_t& operator[](int64_t n) { return data()[n]; }
  int32_t operator[](int64_t n) const { return data()[n]; }
  const int32_t* begin() const { return data(); }
  const int32_t* end() const { return data() + size_; }

 private:
  int64_t size_ = 0;
  StorageRef storage_ = Storage::allocate(0);
};

/// The label of a sample or position that counts for nothing, in losses, scores and reports: an unknown
/// pixel, what is behind the end of a sequence. The same as PyTorch's.
inline constexpr int32_t ignored_label = -100;

}  // namespace ballast::inline BALLAST_PRECISION

template <>
struct fmt::formatter<ballast::Tensor> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ballast::Tensor& x, fmt::format_context& context) const {
    const std::string text = x.str();
    return std::copy(text.begin(), text.end(), context.out());
  }
};
