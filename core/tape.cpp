#include <ballast/core/tape.h>

#include <atomic>
#include <exception>

#include <ballast/core/detail/accumulate.h>
#include <ballast/core/detail/denormals.h>
#include <ballast/core/parameter.h>
#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

uint64_t Tape::next_serial() {
  static std::atomic<uint64_t> next = 1;
  return next.fetch_add(1, std::memory_order_relaxed);
}

Tape::Tape(Mode mode)
    : Scope(
          mode == Mode::train
              ? [](const State&,
                   Tape* tape) { return State{.recording = tape, .batch_statistics = true, .dropout = true}; }
              : [](const State&, Tape* tape) { return State{.recording = tape}; },
          this),
      serial_(next_serial()),
      number_(random_state().tapes++),
      exceptions_(std::uncaught_exceptions()) {
  take_memory();
}

void Tape::take_memory() {
  auto& memories = spare();
  if (memories.empty()) {
    tape_ = std::make_unique<Memory>();
  } else {
    tape_ = std::move(memories.back());
    memories.pop_back();
  }
}

Tape::~Tape() {
  if (std::uncaught_exceptions() > exceptions_) drop_gradients();
  //~
  destroy_closures();
  tape_->nodes.clear();
  tape_->kept.clear();
  tape_->reached.clear();
  tape_->block = tape_->used = 0;
  spare().push_back(std::move(tape_));
}

std::vector<std::unique_ptr<Tape::Memory>>& Tape::spare() {
  thread_local std::vector<std::unique_ptr<Memory>> memories;
  return memories;
}

void* Tape::arena(size_t bytes) {
  constexpr size_t block_bytes = size_t{1} << 16;
  bytes = (bytes + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
  if (bytes > block_bytes) throw std::bad_alloc();  // closures are small: they hold tensors, not elements
  Memory& memory = *tape_;
  if (memory.block < memory.blocks.size() && memory.used + bytes > block_bytes) {
    ++memory.block;
    memory.used = 0;
  }
  if (memory.block == memory.blocks.size())
    memory.blocks.push_back(std::make_unique<std::byte[]>(block_bytes));
  void* place = memory.blocks[memory.block].get() + memory.used;
  memory.used += bytes;
  return place;
}

Tape::Node& Tape::add_node(const char* op, const Shape& shape) {
  static const Node blank;  // copying it is faster than zero-initialising a node
  Node& node = tape_->nodes.emplace_back(blank);
  node.op = op;
  node.shape = shape;
  return node;
}

NodeId Tape::leaf(const StorageRef& parameter) {
  ParameterState& state = *parameter->parameter;
  if (!state.trainable) return {};
  const int32_t guess = state.last_leaf.load(std::memory_order_relaxed);
  if (guess < static_cast<int32_t>(tape_->nodes.size()) &&
      tape_->nodes[static_cast<size_t>(guess)].parameter == parameter)
    return {guess};
  add_node("parameter", state.shape).parameter = parameter;
  state.last_leaf.store(last_node().index, std::memory_order_relaxed);
  return last_node();
}

void Tape::forget(Tensor& y) {
  if (y.tape_ != Tensor::detached) y.tape_ = 0;
}

namespace {

Tensor one_for(const Tensor& loss) {
  check<UsageError>(loss.count() == 1,
                    "backward: the loss has shape {}; reduce it to one element, with mean or sum",
                    loss.shape());
  return full(loss.shape(), 1);
}

}  // namespace

void Tape::backward(const Tensor& loss) { sweep(loss, one_for(loss), false); }

void Tape::backward(const Tensor& loss, Keep) { sweep(loss, one_for(loss), true); }

void Tape::backward(const Tensor& y, Tensor dy) { sweep(y, std::move(dy), false); }

void Tape::backward(const Tensor& y, Tensor dy, Keep) { sweep(y, std::move(dy), true); }

void Tape::sweep(const Tensor& y, Tensor dy, bool keep) {
  check<UsageError>(
      !ended(),
      "backward: this tape has already run backward; make a new one, or pass Keep to the earlier call");
  check<UsageError>(innermost(),
                    "backward: a tape or scope opened after this tape is still in force, or this is another "
                    "thread than the one that made the tape");
  check<UsageError>(y.tape_ == serial_ && y.node_,
                    "backward: the loss was not recorded on this tape, which must be there before the "
                    "forward pass, or depends on nothing that takes a gradient");
  check<ShapeError>(dy.shape() == y.shape(), "backward: a gradient of shape {} for a tensor of shape {}",
                    dy.shape(), y.shape());
  if (!keep) end();
  try {
    sweep_nodes(y, std::move(dy), keep);
    check_owned();
  } catch (...) {
    drop_gradients();
    for (Node& node : tape_->nodes) node.grad = {};
    end();
    throw;
  }
  release_parameters();
  if (!keep) destroy_closures();  // of nodes recorded after y
}

void Tape::sweep_nodes(const Tensor& y, Tensor dy, bool keep) {
  auto& nodes = tape_->nodes;
  tape_->kept.clear();
  Grads grads(*this, keep);
  const EvalScope evaluating;  // what backward functions compute is not recorded
  const FlushToZero flush;     // once for all of their loops
  nodes[static_cast<size_t>(y.node_.index)].grad = dy.detach();
  dy = {};
  for (int32_t i = y.node_.index; i >= 0; --i) {
    Node& node = nodes[static_cast<size_t>(i)];
    Tensor grad = std::move(node.grad);
    if (!grad.empty() && node.watched) tape_->kept.emplace_back(i, grad);
    if (!grad.empty() && node.run) {
      grads.op_ = node.op;
      node.run(node.closure, std::move(grad), grads);
      if (detects_anomaly_) check_gradients(i);
    }
    if (!keep && node.destroy) std::exchange(node.destroy, nullptr)(node.closure);
  }
}

void Tape::check_result(const char* op, const Tensor& y) const {
  if (!all_finite(y))
    throw NotFiniteError(fmt::format("the result of {}, {}, has elements that aren't finite", op, y.shape()));
}

// Node `node` has passed its gradient on: to nodes before it and to parameters.
void Tape::check_gradients(int32_t node) const {
  for (int32_t i = 0; i < node; ++i) {
    const Node& input = tape_->nodes[static_cast<size_t>(i)];
    const Tensor& gradient = input.reached ? input.parameter->parameter->grad : input.grad;
    if (!gradient.empty() && !all_finite(gradient))
      throw NotFiniteError(fmt::format(
          "backward of {} gave a gradient with elements that aren't finite, for its {} of shape {}",
          tape_->nodes[static_cast<size_t>(node)].op, input.parameter ? "parameter" : "input",
          gradient.shape()));
  }
}

// The gradient of a parameter without an optimizer would be lost silently. So it is noted in the slabs of the
// other parameters that took part, whose optimizers then throw in step().
void Tape::check_owned() {
  const auto parameter = [&](int32_t leaf) { return tape_->nodes[static_cast<size_t>(leaf)].parameter; };
  for (const auto& [leaf, op] : tape_->reached) {
    const StorageRef unowned = parameter(leaf);
    if (unowned->parameter->owned()) continue;
    for (const auto& [other, unused] : tape_->reached) {
      const StorageRef owned = parameter(other);
      if (owned->parameter->owned()) owned->parameter->slab->add_unowned(unowned, op);
    }
  }
}

void Tape::release_parameters() {
  for (const auto& [leaf, op] : tape_->reached) {
    uint64_t own = serial_;
    tape_->nodes[static_cast<size_t>(leaf)].parameter->parameter->writer.compare_exchange_strong(own, 0);
  }
}

void Tape::drop_gradients() {
  for (const auto& [leaf, op] : tape_->reached)
    tape_->nodes[static_cast<size_t>(leaf)].parameter->parameter->has_grad = false;
  release_parameters();
}

void Tape::destroy_closures() {
  for (size_t i = tape_->nodes.size(); i-- > 0;) {
    Node& node = tape_->nodes[i];
    if (node.destroy) std::exchange(node.destroy, nullptr)(node.closure);
  }
}

void Tape::watch(Tensor& x) {
  check<UsageError>(!ended(), "watch: this tape has already run backward");
  if (x.tape_ != serial_) {
    check<UsageError>(x.tape_ == 0 || x.tape_ == Tensor::detached,
                      "watch: the tensor belongs to another tape; pass x.detach()");
    add_node("watch", x.shape());
    x.node_ = last_node();
    x.tape_ = serial_;
  }
  tape_->nodes[static_cast<size_t>(x.node_.index)].watched = true;
}

Tensor Tape::grad(const Tensor& x) const {
  check<UsageError>(x.tape_ == serial_ && x.node_ && tape_->nodes[static_cast<size_t>(x.node_.index)].watched,
                    "grad: this tape doesn't watch the tensor; call tape.watch(x) before using x");
  for (const auto& [index, gradient] : tape_->kept) {
    if (index == x.node_.index) return gradient;
  }
  return {};
}

Tensor Grads::in_place_of(Tensor& x) const {
  return !keep_ && solely_held(x) ? std::move(x) : Tensor(x.shape());
}

Tape::Node& Grads::node_of(NodeId id, const Shape& gradient) const {
  Tape::Node& node = tape_.tape_->nodes[static_cast<size_t>(id.index)];
  // A view of a parameter, made before the tape, stands for the parameter whatever its shape.
  const bool fits = node.parameter ? gradient.count() == node.shape.count() : gradient == node.shape;
  //~ const bool fits = node.parameter ? true : gradient == node.shape;
  check<ShapeError>(
      fits,
      "backward of '{}': a gradient of shape {} for an input of shape {}; sum_to gives a broadcast "
      "input its shape",
      op_, gradient, node.shape);
  return node;
}

real* Grads::target(NodeId id, const Shape& shape, real& beta) {
  Tape::Node& node = node_of(id, shape);
  if (!node.parameter) {
    beta = node.grad.empty() ? real{0} : real{1};
    // The elements may be shared: a sum passes one gradient to both operands.
    node.grad = node.grad.empty() ? Tensor(shape) : own(std::move(node.grad));
    return node.grad.data();
  }
  ParameterState& state = *node.parameter->parameter;
  uint64_t writer = 0;
  check<UsageError>(
      state.writer.compare_exchange_strong(writer, tape_.serial_) || writer == tape_.serial_,
      "backward: another thread runs backward through a parameter of shape {}; give each thread "
      "a copy of the model, or freeze what both share",
      state.shape);
  if (state.grad.empty()) state.grad = Tensor(state.shape);
  beta = state.has_grad ? real{1} : real{0};
  state.has_grad = true;
  if (!std::exchange(node.reached, true)) tape_.tape_->reached.emplace_back(id.index, op_);
  return state.grad.data();
}

void Grads::add(NodeId id, Tensor gradient) {
  if (!wants(id)) return;
  Tape::Node& node = node_of(id, gradient.shape());
  if (!node.parameter && node.grad.empty()) {
    node.grad = std::move(gradient);
    return;
  }
  real beta = 0;
  real* g = target(id, gradient.shape(), beta);
  accumulate(g, gradient.data(), gradient.count(), beta);
}

Saved::Saved(const Tensor& x) {
  constexpr int64_t large = int64_t{1} << 20;  // bytes
  const NodeId node = x.node();
  if (node && x.count() * int64_t{sizeof(real)} >= large &&
      Tape::recording()->tape_->nodes[static_cast<size_t>(node.index)].recompute) {
    producer_ = node;
  } else {
    x_ = x.detach();
  }
}

Tensor Saved::get(const Grads& grads) const {
  if (is_held()) return x_;
  const Tape::Node& node = grads.tape_.tape_->nodes[static_cast<size_t>(producer_.index)];
  return node.recompute(node.closure, grads);
}

Tensor Saved::take(const Grads& grads) { return is_held() && !grads.keep_ ? std::move(x_) : get(grads); }

}  // namespace ballast::inline BALLAST_PRECISION
