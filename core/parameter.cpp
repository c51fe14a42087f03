#include <ballast/core/parameter.h>

#include <algorithm>
#include <mutex>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// Elements of their own in a block of their own, behind a header that an optimizer can point into its slab
// later.
Tensor with_role(const Tensor& value, Role role) {
  if (value.empty()) return {};
  const Tensor copy = value.clone();
  StorageRef storage = Storage::view(copy.storage(), const_cast<real*>(copy.data()));
  storage->role = role;
  return {value.shape(), std::move(storage)};
}

void write_in_place(Tensor& to, const Tensor& from, const char* what) {
  check<ShapeError>(to.shape() == from.shape(), "{} of shape {} can't take a value of shape {}", what,
                    to.shape(), from.shape());
  std::copy_n(from.data(), from.count(), to.data());
}

}  // namespace

Parameter::Parameter(Tensor value, ParameterOptions options) : value_(with_role(value, Role::parameter)) {
  value_.storage()->parameter = new ParameterState{.shape = shape(), .decay = options.decay};
}

Parameter::Parameter(const Parameter& other) : value_(with_role(other.value_, Role::parameter)) {
  if (empty()) return;
  value_.storage()->parameter = new ParameterState{
      .shape = shape(), .trainable = other.state().trainable, .decay = other.state().decay};
}

Parameter& Parameter::operator=(const Parameter& other) {
  if (!empty() && !other.empty() && shape() == other.shape()) {
    assign(other.value_);
  } else {
    *this = Parameter(other);
  }
  return *this;
}

void Parameter::tie(const Parameter& other) {
  check<ShapeError>(shape() == other.shape(), "tie: parameters of shapes {} and {} can't be one", shape(),
                    other.shape());
  value_ = other.value_;
}

void Parameter::assign(const Tensor& value) { write_in_place(value_, value, "a parameter"); }

Tensor Parameter::grad() const { return !empty() && state().has_grad ? state().grad : Tensor(); }

void Parameter::set_trainable(bool trainable) {
  state().trainable = trainable;
  if (!trainable) zero_grad();
}

namespace {
std::mutex buffers_mutex;
Buffer* first_buffer = nullptr;
}  // namespace

Buffer::Buffer(Tensor value) : value_(with_role(value, Role::buffer)) { enlist(); }

Buffer::Buffer(const Buffer& other) : value_(with_role(other.value_, Role::buffer)) { enlist(); }

Buffer::Buffer(Buffer&& other) noexcept : value_(std::move(other.value_)), updated_by_(other.updated_by_) {
  enlist();
}

Buffer& Buffer::operator=(const Buffer& other) {
  if (!empty() && !other.empty() && shape() == other.shape()) {
    assign(other.value_);
  } else {
    *this = Buffer(other);
  }
  return *this;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  value_ = std::move(other.value_);
  updated_by_ = other.updated_by_;
  return *this;
}

Buffer::~Buffer() { leave(); }

void Buffer::assign(const Tensor& value) { write_in_place(value_, value, "a buffer"); }

real* Buffer::update() {
  updated_by_ = outermost_module();
  return value_.data();
}

std::vector<const Buffer*> Buffer::updated_by(const Module* root) {
  const std::scoped_lock lock(buffers_mutex);
  std::vector<const Buffer*> found;
  for (const Buffer* b = first_buffer; b; b = b->next_) {
    if (b->updated_by_ == root && root) found.push_back(b);
  }
  return found;
}

void Buffer::enlist() {
  const std::scoped_lock lock(buffers_mutex);
  next_ = first_buffer;
  if (next_) next_->previous_ = this;
  first_buffer = this;
}

void Buffer::leave() {
  const std::scoped_lock lock(buffers_mutex);
  (previous_ ? previous_->next_ : first_buffer) = next_;
  if (next_) next_->previous_ = previous_;
}

}  // namespace ballast::inline BALLAST_PRECISION
