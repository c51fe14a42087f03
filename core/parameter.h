#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// Contiguous memory for the parameters of an optimizer, and for their gradients at the same offsets.
/// Parameters and optimizer share it, and may be destroyed in either order.
struct Slab {
  Tensor values, grads;
  bool has_optimizer = true;

  /// A parameter without an optimizer that took part in a backward pass together with parameters of this
  /// slab; `op` is the operation that used it.
  struct Unowned {
    StorageRef parameter;
    const char* op;
  };
  std::vector<Unowned> unowned;
  void add_unowned(const StorageRef& parameter, const char* op);
};

/// What belongs to a parameter beside its value. A gradient is valid while `has_grad`: the first write since
/// `step()` or `zero_grad()` overwrites, later ones add.
struct ParameterState {
  Shape shape;
  Tensor grad{};  // memory; empty until the first gradient
  bool has_grad = false;
  bool trainable = true;
  bool decay = true;
  std::shared_ptr<Slab> slab{};
  // Index of its leaf on the tape that used it last: a hint, checked before use, that saves a search.
  std::atomic<int32_t> last_leaf = 0;
  // Serial of the tape that is adding to the gradient; 0: none.
  std::atomic<uint64_t> writer = 0;

  bool owned() const { return slab && slab->has_optimizer; }
};

struct ParameterOptions {
  /// Weight decay applies to it under DecayRule::weights_only. False for biases and the parameters of norms.
  bool decay = true;
};

/// A tensor that is trained. A default-constructed one is absent (a layer without bias) and isn't visited.
/// Identity: a parameter or buffer is the Storage of its value, not the object that refers to it nor the
/// module that holds that. (The data may move: an optimizer takes them into its slab.) Copy construction
/// makes a new storage, so a copied model is independent; move construction hands the storage on, so a model
/// may be moved while an optimizer trains it. Loading, initializing and assigning a value of the same shape
/// write into the storage that is there; assigning one of another shape takes over the other's storage, so
/// that optimizers must be made anew. `tie` makes two objects refer to one storage. Optimizers, tapes,
/// checkpoints and counts identify parameters and buffers by their storage.
class Parameter {
 public:
  Parameter() = default;
  explicit Parameter(Tensor value, ParameterOptions options = {});
  Parameter(const Parameter& other);
  Parameter(Parameter&&) noexcept = default;
  /// Takes over value and options. If the shapes agree, in place (see Identity), and the gradient is dropped.
  Parameter& operator=(Parameter other) noexcept;

  /// Makes this parameter and `other` one: updated once a step, saved by both names. In a copy they are two.
  void tie(const Parameter& other);

  bool empty() const { return value_.empty(); }
  const Shape& shape() const { return value_.shape(); }
  int64_t count() const { return value_.count(); }
  real* data() { return value_.data(); }
  const real* data() const { return value_.data(); }
  const Tensor& value() const { return value_; }
  operator const Tensor&() const { return value_; }
  /// Overwrites the value in place; throws ShapeError unless the shapes agree.
  void assign(const Tensor& value);

  /// The gradient accumulated since the last `step()` or `zero_grad()`; empty if none arrived.
  Tensor grad() const;
  void zero_grad() { state().has_grad = false; }

  /// A frozen parameter is a constant: no gradient is computed for it.
  bool trainable() const { return state().trainable; }
  void set_trainable(bool trainable);
  bool decays() const { return state().decay; }

  /// Throws UsageError if the parameter is absent.
  ParameterState& state() const {
    if (empty()) [[unlikely]]
      throw_absent();
    return *value_.storage()->parameter;
  }

 private:
  [[noreturn]] static void throw_absent();
  Tensor value_;
};

/// A tensor that is kept and saved but not trained, such as a running mean. Identity as for Parameter.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Tensor value);
  Buffer(const Buffer& other) : Buffer(other.value_) {}
  Buffer(Buffer&&) noexcept = default;
  Buffer& operator=(Buffer other) noexcept;
  ~Buffer();

  bool empty() const { return value_.empty(); }
  const Shape& shape() const { return value_.shape(); }
  const real* data() const { return value_.data(); }
  const Tensor& value() const { return value_; }
  operator const Tensor&() const { return value_; }
  void assign(const Tensor& value);
  /// The elements to write a new state into. Records that the module called now has updated it, so that
  /// `save` can refuse to lose a buffer that no `visit` lists.
  real* update();

 private:
  Tensor value_;
};

/// A whole number that is kept and saved, such as `num_batches_tracked`.
struct Counter {
  int64_t value = 0;
};

}  // namespace ballast::inline BALLAST_PRECISION
