#pragma once

#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include <ballast/core/scope.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

class Grads;

/// `Tape tape(Mode::eval)` records through a network that evaluates.
enum class Mode { train, eval };

/// Given to `backward`: the tape goes on recording, and can be run backward again.
struct Keep {};

/// Records the operations of this thread while it exists, and lets layers train: batch statistics, dropout.
/// Until `backward` returns, nobody may write into parameters or recorded tensors: gradients are computed
/// from their values then. Tapes nest. The order of recording is a topological order, so backward is one
/// sweep from the last node to the first. If an exception destroys the tape, the gradients of all parameters
/// it reached are dropped, including those that earlier tapes accumulated.
///
/// What threads may share:
/// - A model that nobody writes to may be evaluated (`predict`) by any number of threads.
/// - A tape belongs to the thread that made it. Several threads may record through one model with tapes of
///   Mode::eval, as for gradients of inputs. If its parameters take gradients, only one of them may run
///   backward at a time; a second one throws UsageError. A tape that trains updates running statistics, so
///   each thread that trains needs a copy of the model.
/// - While a thread trains a model, no other may read it, not even to save it. The thread can hand out a
///   copy, `Net snapshot = net`, which shares nothing with the model.
/// - Tensors, tapes and models may be destroyed on any thread.
class Tape : public Scope {
 public:
  explicit Tape(Mode mode = Mode::train);
  ~Tape();

  /// Adds d loss / d parameter to the gradient of every trainable parameter that the loss was computed from.
  /// Ends recording and training mode, and frees the tape as it goes, unless Keep is given. `loss` must have
  /// one element; throws UsageError if it wasn't recorded here. If an operation throws on the way, the
  /// gradients of all parameters reached are dropped.
  void backward(const Tensor& loss);
  void backward(const Tensor& loss, Keep);
  /// The same from any tensor `y` and the gradient `dy` of the loss by y: adds dy^T (d y / d parameter).
  void backward(const Tensor& y, Tensor dy);
  void backward(const Tensor& y, Tensor dy, Keep);

  /// Makes `x` a variable whose gradient `grad` will give: an input, or a result of this tape.
  void watch(Tensor& x);
  /// The gradient of a watched tensor after `backward`; empty if the loss doesn't depend on it.
  Tensor grad(const Tensor& x) const;

  /// From now on every recorded result and every gradient is checked: NaN or infinity throws NotFiniteError,
  /// which names the operation, forward or backward, that was the first to make it from finite numbers, as
  /// PyTorch's detect_anomaly does. It takes a pass over each of them.
  void detect_anomaly() { detects_anomaly_ = true; }

  /// How many tapes this thread made before it, since `manual_seed`; with the seed, it keys dropout's masks.
  uint64_t number() const { return number_; }
  /// Numbers the random operations on this tape.
  uint64_t next_call() { return calls_++; }
  /// Number of recorded operations and leaves.
  size_t size() const { return tape_->nodes.size(); }

  // For operations
  // ------------------------------------------------------------------------------------------------------
  static Tape* recording() { return now().recording; }
  uint64_t serial() const { return serial_; }
  NodeId leaf(const StorageRef& parameter);
  /// Clears the node of an unrecorded result `y`, which may stem from an operand whose memory y reuses.
  static void forget(Tensor& y);
  template <class Backward>
  void push(const char* op, Tensor& y, Backward&& backward);
  /// For `recomputed`: a tape that continues another one's numbers, and that one's going on after it.
  struct Within;
  explicit Tape(const Within& within);
  void continue_after(const Tape& inner) { calls_ = inner.calls_; }

 private:
  friend class Grads;
  friend class Saved;

  struct Node {
    const char* op = nullptr;
    void* closure = nullptr;  // in the arena
    void (*run)(void* closure, Tensor dy, Grads& grads) = nullptr;
    void (*destroy)(void* closure) = nullptr;
    // Recomputes the result; null if the operation doesn't offer it.
    Tensor (*recompute)(const void* closure, const Grads& grads) = nullptr;
    Shape shape{};  // of the result
    Tensor grad{};
    StorageRef parameter{};  // leaves only
    bool watched = false;
    bool reached = false;  // leaves only: listed in Memory::reached
  };
  // The memory of a tape, kept by the thread for its next one.
  struct Memory {
    std::vector<Node> nodes;
    std::vector<std::unique_ptr<std::byte[]>> blocks;
    size_t block = 0, used = 0;                    // the arena's current block, and its bytes in use
    std::vector<std::pair<int32_t, Tensor>> kept;  // gradients of watched nodes
    // Leaves that backward has reached, and the operations that used them.
    std::vector<std::pair<int32_t, const char*>> reached;
  };

  static std::vector<std::unique_ptr<Memory>>& spare();
  void* arena(size_t bytes);
  Node& add_node(const char* op, const Shape& shape);
  NodeId last_node() const { return {static_cast<int32_t>(tape_->nodes.size()) - 1}; }
  void sweep(const Tensor& y, Tensor dy, bool keep);
  void sweep_nodes(const Tensor& y, Tensor dy, bool keep);
  void check_owned();
  void check_result(const char* op, const Tensor& y) const;
  void check_gradients(int32_t node) const;
  static uint64_t next_serial();
  void take_memory();
  void release_parameters();
  void drop_gradients();
  void destroy_closures();

  std::unique_ptr<Memory> tape_;
  const Within* within_ = nullptr;
  uint64_t serial_, number_, calls_ = 0;
  int exceptions_;  // in flight when the tape was made
  bool detects_anomaly_ = false;
};

/// Receives the gradients of an operation's inputs from its backward function.
class Grads {
 public:
  /// Whether this input takes a gradient; if not, skip the work.
  bool wants(NodeId id) const { return bool(id); }
  /// Memory for the gradient of a saved tensor x: x's own, moved from it, if this function holds the last
  /// reference and won't run again (Keep), else new.
  Tensor in_place_of(Tensor& x) const;
  /// Adds `gradient`, which must have the input's shape, to the gradient of input `id`; throws ShapeError
  /// naming the operation if it hasn't. Does nothing if the input takes none.
  void add(NodeId id, Tensor gradient);
  /// For kernels that can accumulate themselves: calls write(g, beta) which must set g = beta g + gradient.
  /// beta is 0 for the first gradient that arrives (g is then uninitialized), 1 for later ones.
  template <class Write>
  void write(NodeId id, const Shape& shape, Write&& write_gradient) {
    if (!wants(id)) return;
    real beta = 0;
    real* g = target(id, shape, beta);
    write_gradient(g, beta);
  }
  /// A tape that a backward function makes may add to the same parameters' gradients.
  void let_inner_tapes_write() { tape_.release_parameters(); }

 private:
  friend class Tape;
  friend class Saved;
  Grads(Tape& tape, bool keep) : tape_(tape), keep_(keep) {}
  Tape::Node& node_of(NodeId id, const Shape& gradient) const;
  real* target(NodeId id, const Shape& shape, real& beta);

  Tape& tape_;
  bool keep_;  // backward will run again
  const char* op_ = nullptr;
};

template <class Backward>
void Tape::push(const char* op, Tensor& y, Backward&& backward) {
  using Closure = std::remove_cvref_t<Backward>;
  static_assert(alignof(Closure) <= alignof(std::max_align_t));
  void* closure = new (arena(sizeof(Closure))) Closure(std::forward<Backward>(backward));
  Node& node = add_node(op, y.shape());
  node.closure = closure;
  node.run = [](void* c, Tensor dy, Grads& grads) { (*static_cast<Closure*>(c))(std::move(dy), grads); };
  node.destroy = [](void* c) { static_cast<Closure*>(c)->~Closure(); };
  if constexpr (requires(Closure & c) { c.can_recompute(); }) {
    if (static_cast<Closure*>(closure)->can_recompute())
      node.recompute = [](const void* c, const Grads& grads) {
        return static_cast<const Closure*>(c)->recompute(grads);
      };
  }
  y.tape_ = serial_;
  y.node_ = last_node();
  if (detects_anomaly_) [[unlikely]]
    check_result(op, y);
}

/// An input of an operation, which its backward function needs. It is held; or, if it has 1 MiB or more, it
/// is recomputed in the backward pass, bit for bit, where the operation that computed it is
/// - a norm that isn't pooled: one pass over its own saved input;
/// - or a convolution without groups or ReLU, with at most tuning::recomputed_depth multiply-adds per output,
///   whose own input is held, so that recomputed convolutions don't form chains.
/// The input of a pooled norm is always held: memory use has its peak while that input, the network's largest
/// tensor, is first computed, so recomputing it would save nothing.
class Saved {
 public:
  explicit Saved(const Tensor& x);
  /// To be called in the backward function.
  Tensor get(const Grads& grads) const;
  /// The same, moved from here if the function won't run again (Keep).
  Tensor take(const Grads& grads);
  bool is_held() const { return !producer_; }

 private:
  Tensor x_;
  NodeId producer_;  // the operation that recomputes it, in place of x_
};

/// Ends an operation: `y` was computed from tensors at `inputs`, and `backward(dy, grads)` adds to their
/// gradients. Recorded if a tape records and any input takes a gradient. A `backward` with members `bool
/// can_recompute()` and `Tensor recompute(const Grads&)` offers to recompute `y` (see Saved).
template <class Backward>
Tensor record(const char* op, Tensor y, std::span<const NodeId> inputs, Backward&& backward) {
  for (NodeId input : inputs) {
    if (input) {
      Tape::recording()->push(op, y, std::forward<Backward>(backward));
      return y;
    }
  }
  Tape::forget(y);
  return y;
}

template <class Backward>
Tensor record(const char* op, Tensor y, std::initializer_list<NodeId> inputs, Backward&& backward) {
  return record(op, std::move(y), std::span(inputs.begin(), inputs.size()), std::forward<Backward>(backward));
}

}  // namespace ballast::inline BALLAST_PRECISION
