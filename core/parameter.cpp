#include <ballast/core/parameter.h>

#include <algorithm>
#include <utility>

#include <ballast/core/module.h>
#include <ballast/core/thread_state.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// A copy whose header is separate from the block of its elements, so that an optimizer can point it into its
// slab.
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

void Slab::add_unowned(const StorageRef& parameter, const char* op) {
  const auto is_this = [&](const Unowned& other) { return other.parameter == parameter; };
  if (std::none_of(unowned.begin(), unowned.end(), is_this)) unowned.push_back({parameter, op});
}

Parameter::Parameter(Tensor value, ParameterOptions options) : value_(with_role(value, Role::parameter)) {
  value_.storage()->parameter = new ParameterState{.shape = shape(), .decay = options.decay};
}

Parameter::Parameter(const Parameter& other) : value_(with_role(other.value_, Role::parameter)) {
  if (empty()) return;
  value_.storage()->parameter = new ParameterState{
      .shape = shape(), .trainable = other.state().trainable, .decay = other.state().decay};
}

Parameter& Parameter::operator=(Parameter other) noexcept {
  if (empty() || other.empty() || shape() != other.shape()) {
    std::swap(value_, other.value_);
    return *this;
  }
  assign(other.value_);
  state().decay = other.state().decay;
  set_trainable(other.trainable());
  zero_grad();
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

void Parameter::throw_absent() {
  throw UsageError("this parameter is absent, as the bias of a layer made without one; ask empty() first");
}

Buffer::Buffer(Tensor value) : value_(with_role(value, Role::buffer)) {}

Buffer& Buffer::operator=(Buffer other) noexcept {
  if (empty() || other.empty() || shape() != other.shape()) {
    std::swap(value_, other.value_);
  } else {
    assign(other.value_);
  }
  return *this;
}

// For tensors that still share the elements, these are a plain value from now on.
Buffer::~Buffer() {
  if (!empty()) value_.storage()->role = Role::value;
}

void Buffer::assign(const Tensor& value) { write_in_place(value_, value, "a buffer"); }

real* Buffer::update() {
  if (const CallScope* call = thread_state.innermost_call) {
    std::vector<Tensor>& updated = call->outermost().updated_;
    const auto is_this = [&](const Tensor& b) { return b.storage() == value_.storage(); };
    if (std::none_of(updated.begin(), updated.end(), is_this)) updated.push_back(value_.detach());
  }
  return value_.data();
}

}  // namespace ballast::inline BALLAST_PRECISION
