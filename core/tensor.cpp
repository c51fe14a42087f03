#include <ballast/core/tensor.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>

#include <ballast/core/detail/tuning.h>
#include <ballast/core/parallel.h>
#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// Long axes show their first and last three entries.
void print(std::string& text, const Tensor& x, int axis, int64_t offset) {
  if (axis == x.rank()) {
    text += fmt::format("{:.6g}", x.data()[offset]);
    return;
  }
  constexpr int64_t edge = 3;
  const int64_t size = x.shape()[axis], stride = x.shape().count(axis + 1, x.rank());
  text += '[';
  for (int64_t i = 0; i < size; ++i) {
    if (i) text += axis + 1 == x.rank() ? ", " : ",\n" + std::string(static_cast<size_t>(axis) + 1, ' ');
    if (size > 4 * edge && i == edge) {
      text += "...";
      i = size - edge - 1;
      continue;
    }
    print(text, x, axis + 1, offset + i * stride);
  }
  text += ']';
}

}  // namespace

Tensor::Tensor(const Shape& shape)
    : shape_(shape), storage_(Storage::allocate(static_cast<size_t>(shape.count()) * sizeof(real))) {}

Tensor::Tensor(real value) : Tensor(Shape{}) { *data() = value; }

void Tensor::throw_empty() {
  throw UsageError(
      "there is no tensor where one is needed: it was never given, was moved away, or is a gradient that "
      "never arrived");
}

real Tensor::item() const {
  check<ShapeError>(!empty() && count() == 1,
                    "item: a tensor of shape {} has not one element; index it or reduce it first", shape_);
  return *data();
}

int64_t Tensor::offset(std::initializer_list<int64_t> index) const {
  check<ShapeError>(static_cast<int>(index.size()) == rank(), "a tensor of shape {} takes {} indices, not {}",
                    shape_, rank(), index.size());
  int64_t offset = 0;
  int axis = 0;
  for (int64_t i : index) {
    const int64_t size = shape_[axis++];
    check<ValueError>(i >= -size && i < size,
                      "index {} on axis {} of a tensor of shape {}; it must be from {} to {}", i, axis - 1,
                      shape_, -size, size - 1);
    offset = offset * size + (i < 0 ? i + size : i);
  }
  return offset;
}

Tensor Tensor::clone() const {
  if (empty()) return {};
  Tensor copy(shape_);
  std::copy_n(data(), count(), copy.data());
  return copy;
}

namespace {

// An exponent of ones alone means infinity or NaN: adding one to it carries into the sign bit, which is
// clear. Branch-free, so that it is compiled to vector instructions.
bool all_finite(const real* x, int64_t count) {
  using Bits = std::conditional_t<sizeof(real) == 4, uint32_t, uint64_t>;
  constexpr Bits sign = Bits{1} << (8 * sizeof(real) - 1);
  constexpr Bits one = Bits{1} << (std::numeric_limits<real>::digits - 1), exponent = sign - one;
  Bits carried = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof bits);
    carried |= (bits & exponent) + one;
    //~ carried |= bits & exponent;
  }
  return (carried & sign) == 0;
}

}  // namespace

bool all_finite(const Tensor& x) {
  std::atomic<bool> finite = true;
  const real* from = x.data();
  parallel_for(x.count(), detail::tuning::elementwise_grain, [&](int64_t begin, int64_t end) {
    if (!all_finite(from + begin, end - begin)) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

Tensor Tensor::detach() const {
  Tensor x = *this;
  x.tape_ = detached;
  x.node_ = {};
  return x;
}

std::string Tensor::str() const {
  if (empty()) return "(no tensor)";
  std::string text;
  print(text, *this, 0, 0);
  return text;
}

Tensor Tensor::viewed_as(const Shape& shape) const& { return Tensor(*this).viewed_as(shape); }

Tensor Tensor::viewed_as(const Shape& shape) && {
  shape_ = shape;
  return std::move(*this);
}

NodeId Tensor::node() const {
  Tape* tape = Tape::recording();
  if (tape == nullptr || tape_ == detached || !storage_) return {};
  if (tape_ == tape->serial()) return node_;
  check<UsageError>(tape_ == 0,
                    "a tensor of shape {} was recorded on another tape than the one recording now; compute "
                    "it on this tape, or "
                    "pass x.detach() to use its value alone",
                    shape_);
  return storage_->role == Role::parameter ? tape->leaf(storage_) : NodeId{};
}

Tensor own(Tensor x) {
  if (solely_held(x)) return x;
  return x.clone();
}

Tensor zeros(const Shape& shape) { return full(shape, 0); }
Tensor ones(const Shape& shape) { return full(shape, 1); }

Tensor full(const Shape& shape, real value) {
  Tensor x(shape);
  std::fill_n(x.data(), x.count(), value);
  return x;
}

Tensor arange(int64_t count) {
  Tensor x(Shape{count});
  std::iota(x.data(), x.data() + count, real{0});
  return x;
}

Tensor tensor(std::span<const real> values, const Shape& shape) {
  check<ShapeError>(static_cast<int64_t>(values.size()) == shape.count(),
                    "tensor: {} values don't fill a tensor of shape {}", values.size(), shape);
  Tensor x(shape);
  std::copy(values.begin(), values.end(), x.data());
  return x;
}

namespace {

Shape shape_of(const NestedList& list) {
  if (!list.is_list) return {};
  check<ShapeError>(list.rows.size() > 0, "tensor: a nested list needs at least one entry");
  return shape_of(*list.rows.begin()).inserted(0, static_cast<int64_t>(list.rows.size()));
}

real* fill_in(const NestedList& list, const Shape& shape, real* to) {
  check<ShapeError>(shape_of(list) == shape, "tensor: entries of shapes {} and {} in one nested list", shape,
                    shape_of(list));
  if (!list.is_list) *to++ = list.value;
  for (const NestedList& row : list.rows) to = fill_in(row, shape.without(0), to);
  return to;
}

}  // namespace

Tensor tensor(const NestedList& list) {
  Tensor x(shape_of(list));
  fill_in(list, x.shape(), x.data());
  return x;
}

Labels::Labels(int64_t count)
    : size_(count), storage_(Storage::allocate(static_cast<size_t>(count) * sizeof(int32_t))) {}

Labels::Labels(std::initializer_list<int32_t> values) : Labels(std::span(values.begin(), values.size())) {}

Labels::Labels(std::span<const int32_t> values) : Labels(static_cast<int64_t>(values.size())) {
  std::copy(values.begin(), values.end(), data());
}

}  // namespace ballast::inline BALLAST_PRECISION
