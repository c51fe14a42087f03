#include <ballast/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

constexpr int64_t alignment = 16;  // elements: a parameter starts on a cache line of its own

bool decays(const Parameter& parameter, DecayRule rule) {
  return rule == DecayRule::all || parameter.decays();
}

}  // namespace

Optimizer::Optimizer(Parts& model, double lr, double weight_decay, DecayRule rule)
    : slab_(std::make_shared<Slab>()), first_lr_(lr), lr_(lr), weight_decay_(weight_decay), rule_(rule) {
  check_option("learning rate", lr);
  check_option("weight decay", weight_decay);
  int64_t size = 0;
  std::set<const Storage*> seen;
  for_each_parameter(model, [&](const std::string& path, Parameter& p) {
    if (!seen.insert(p.value().storage().get()).second) return;  // shared: updated once
    slots_.push_back({path, p.value().storage(), size, p.count(), 1, decays(p, rule) ? weight_decay : 0, {}});
    size += (p.count() + alignment - 1) / alignment * alignment;
  });
  check<UsageError>(!slots_.empty(), "there are no parameters to optimize; list them in visit()");
  slab_->values = zeros({size});
  slab_->grads = zeros({size});
  for (Slot& slot : slots_) {
    ParameterState& state = *slot.storage->parameter;
    real *value = slab_->values.data() + slot.offset, *grad = slab_->grads.data() + slot.offset;
    std::copy_n(static_cast<const real*>(slot.storage->data), slot.count, value);
    slot.storage->data = value;
    slot.storage->owner = slab_->values.storage();
    if (state.has_grad) std::copy_n(state.grad.data(), slot.count, grad);
    state.slab = slab_;
  }
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    const int64_t offset = p.data() - slab_->values.data();
    p.state().grad = Tensor(p.shape(), Storage::view(slab_->grads.storage(), slab_->grads.data() + offset));
  });
  partition_slots();
}

void Optimizer::check_option(const char* name, double value) {
  check<ValueError>(std::isfinite(value) && value >= 0, "{} is {}; it must be finite and at least 0", name,
                    value);
}

Optimizer::~Optimizer() { slab_->has_optimizer = false; }

void Optimizer::add_state(const std::string& name) {
  check<UsageError>(states_.size() < most_states, "add_state: more than {} states", most_states);
  states_.push_back({name, std::make_unique<Buffer>(zeros(slab_->values.shape()))});
}

// Each thread gets a contiguous range of the pieces, so they are sorted by their relative position in their
// parameter: of two threads the first one updates the first half of every parameter. Matrix products
// partition the rows of weights in the same way, so that a thread finds in its cache what it wrote before.
// Parameters in one piece come in the middle, large ones first: the first thread computed the gradients of
// those that one task made.
void Optimizer::partition_slots() {
  constexpr int64_t few = 4096;  // elements; a parameter of no more is one piece
  for (const Slot& slot : slots_) {
    const int64_t parts = slot.count <= few ? 1 : round_up(divide_up(slot.count, elementwise_grain), 4);
    const int64_t size = round_up(divide_up(slot.count, parts), alignment);
    for (int64_t begin = 0; begin < slot.count; begin += size)
      pieces_.push_back({&slot, slot.offset + begin, std::min(size, slot.count - begin)});
  }
  const auto place = [](const Piece& p) {
    const int64_t middle = 2 * (p.first - p.slot->offset) + p.count;
    return std::pair(static_cast<double>(middle) / static_cast<double>(p.slot->count), -p.count);
  };
  std::stable_sort(pieces_.begin(), pieces_.end(),
                   [&](const Piece& a, const Piece& b) { return place(a) < place(b); });
}

void Optimizer::visit(Visitor& v) {
  for (State& state : states_) v(state.name, *state.values);
  for (Slot& slot : slots_) v("steps." + slot.path, slot.steps);
}

void Optimizer::set_lr(double lr) {
  check_option("learning rate", lr);
  //~
  lr_ = lr;
}

void Optimizer::group(Parts& part, const GroupOptions& options) {
  const double decay = options.weight_decay.value_or(weight_decay_);
  //~ const double decay = options.weight_decay.value_or(0);
  const double lr = options.lr.value_or(first_lr_);
  //~ const double lr = options.lr.value_or(0);
  check_option("learning rate", lr);
  check_option("weight decay", decay);
  check<ValueError>(first_lr_ > 0 || lr == 0,
                    "group: a learning rate of {} has no ratio to the optimizer's, which was made with 0",
                    lr);
  for_each_parameter(part, [&](const std::string& path, Parameter& p) {
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [&](const Slot& s) { return s.storage == p.value().storage(); });
    check<UsageError>(slot != slots_.end(),
                      "group: the optimizer doesn't hold '{}'; construct it with the whole model", path);
    slot->lr_ratio = first_lr_ > 0 ? lr / first_lr_ : 1;
    slot->weight_decay = decays(p, rule_) ? decay : 0;
  });
}

void Optimizer::check_slots() const {
  for (const Slot& slot : slots_) {
    check<UsageError>(
        slot.storage->parameter->slab == slab_,
        "step: parameter '{}' has been taken over by another optimizer; use one optimizer per parameter",
        slot.path);
  }
}

void Optimizer::check_unowned() const {
  for (const auto& [parameter, op] : slab_->unowned) {
    const ParameterState& state = *parameter->parameter;
    check<UsageError>(
        !state.has_grad || state.owned(),
        "step: backward reached a parameter that no optimizer owns, through {}, with a parameter "
        "of shape {}; list it in the visit() of its module, pass it to an optimizer, or freeze "
        "it with set_trainable(false)",
        op, state.shape);
  }
}

void Optimizer::check_gradients() const {
  const auto any = [&](auto holds) { return std::any_of(slots_.begin(), slots_.end(), holds); };
  const auto state = [](const Slot& slot) -> const ParameterState& { return *slot.storage->parameter; };
  if (any([&](const Slot& slot) { return state(slot).has_grad; })) return;
  const char* reason =
      "run backward first; if the model was copied, moved over or replaced since, make the "
      "optimizer for the one that is trained";
  if (!any([&](const Slot& slot) { return state(slot).trainable; }))
    reason = "all of them are frozen";
  else if (!any([&](const Slot& slot) { return slot.storage->references > 1; }))
    reason =
        "the model that the optimizer was made for is gone; make another one for the model that is trained";
  throw UsageError(fmt::format("step: none of the optimizer's {} parameters ({}, ...) has a gradient: {}",
                               slots_.size(), slots_.front().path, reason));
}

// Calls f(piece, i) for each piece, number i, of a parameter that has a gradient, on all threads.
template <class F>
void Optimizer::for_each_piece(F f) const {
  const auto pieces = static_cast<int64_t>(pieces_.size());
  const int64_t grain = slab_->values.count() <= elementwise_grain ? pieces : 1;
  parallel_for(pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      if (piece.slot->storage->parameter->has_grad) f(piece, i);
    }
  });
}

void Optimizer::step() {
  check_slots();
  check_unowned();
  check_gradients();
  //~
  slab_->unowned.clear();
  for (Slot& slot : slots_) {
    if (slot.storage->parameter->has_grad) ++slot.steps.value;
  }
  real* states[most_states] = {};
  for (size_t i = 0; i < states_.size(); ++i) states[i] = states_[i].values->update();
  for_each_piece([&](const Piece& piece, int64_t) {
    const Slot& slot = *piece.slot;
    Part part = {.count = piece.count,
                 .value = slab_->values.data() + piece.first,
                 .grad = slab_->grads.data() + piece.first,
                 .state = {},
                 .step = slot.steps.value,
                 .lr = lr_ * slot.lr_ratio,
                 .weight_decay = slot.weight_decay};
    for (size_t j = 0; j < states_.size(); ++j) part.state[j] = states[j] + piece.first;
    update(part);
  });
  for (Slot& slot : slots_) slot.storage->parameter->has_grad = false;
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_) slot.storage->parameter->has_grad = false;
}

double Optimizer::clip_grad_norm(double max_norm) {
  check<ValueError>(max_norm > 0, "clip_grad_norm: a norm of {}; it must be positive", max_norm);
  check_slots();
  const auto pieces = static_cast<int64_t>(pieces_.size());
  const Scratch<double> squares(pieces);
  std::fill_n(squares.data(), pieces, 0.0);
  real* const grads = slab_->grads.data();
  for_each_piece([&](const Piece& piece, int64_t i) {
    squares[i] = kernels().dot(grads + piece.first, grads + piece.first, piece.count);
  });
  const auto is_infinite = [](double square) { return !std::isfinite(square); };
  //~ const auto is_infinite = [](double) { return false; };
  const double* infinite = std::find_if(squares.data(), squares.data() + pieces, is_infinite);
  check<ValueError>(
      infinite == squares.data() + pieces,
      "clip_grad_norm: the gradient of '{}' has elements that aren't finite; drop it with "
      "zero_grad, and look for the operation that overflows",
      pieces_[static_cast<size_t>(std::min<int64_t>(infinite - squares.data(), pieces - 1))].slot->path);
  const double norm = std::sqrt(std::accumulate(squares.data(), squares.data() + pieces, 0.0));
  if (const auto scale = static_cast<real>(max_norm / (norm + 1e-6)); scale < 1) {
    for_each_piece([&](const Piece& piece, int64_t) {
      real* g = grads + piece.first;
      for (int64_t j = 0; j < piece.count; ++j) g[j] *= scale;
    });
  }
  return norm;
}

void Optimizer::clip_grad_value(double limit) {
  check<ValueError>(limit > 0, "clip_grad_value: a limit of {}; it must be positive", limit);
  check_slots();
  const real bound = static_cast<real>(limit);
  real* const grads = slab_->grads.data();
  for_each_piece([&](const Piece& piece, int64_t) {
    real* g = grads + piece.first;
    for (int64_t j = 0; j < piece.count; ++j) g[j] = std::clamp(g[j], -bound, bound);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
