#include <ballast/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/map.h>
#include <ballast/core/ops/scratch.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

constexpr int64_t alignment = 16;  // elements: a parameter starts on a cache line of its own

bool decays(const Parameter& parameter, DecayRule rule) {
  return rule == DecayRule::all || parameter.decays();
}

}  // namespace

Optimizer::Optimizer(Parts& model, double lr, double weight_decay, DecayRule rule)
    : slab_(std::make_shared<Slab>()), lr_(lr), rule_(rule) {
  check<ValueError>(lr >= 0, "a learning rate of {}; it can't be negative", lr);
  check<ValueError>(weight_decay >= 0, "a weight decay of {}; it can't be negative", weight_decay);
  int64_t size = 0;
  std::set<const Storage*> seen;
  for_each_parameter(model, [&](const std::string& path, Parameter& p) {
    if (!seen.insert(p.value().storage().get()).second) return;  // shared: stepped once
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
  cut_slots();
}

Optimizer::~Optimizer() { slab_->has_optimizer = false; }

void Optimizer::add_state(const std::string& name) {
  check<UsageError>(states_.size() < most_states, "add_state: more than {} states", most_states);
  states_.push_back({name, std::make_unique<Buffer>(zeros(slab_->values.shape()))});
}

// A thread gets neighbouring pieces, so they are ordered by where in its parameter each one lies: of two
// threads the first one updates the first half of every parameter. Products share out rows of weights in the
// same way, so that a thread finds in its cache what it wrote before; to fetch that from the cache of another
// core can take three times as long. What isn't cut lies in the middle: the larger ones go to the first
// thread, which computed their gradients alone.
void Optimizer::cut_slots() {
  constexpr int64_t few = 4096;  // elements, which aren't cut
  for (const Slot& slot : slots_) {
    const int64_t parts = slot.count <= few ? 1 : round_up(divide_up(slot.count, elementwise_grain), 4);
    const int64_t size = round_up(divide_up(slot.count, parts), alignment);
    for (int64_t begin = 0; begin < slot.count; begin += size)
      pieces_.push_back({&slot, slot.offset + begin, std::min(size, slot.count - begin)});
  }
  std::ranges::stable_sort(pieces_, {}, [](const Piece& p) {
    const int64_t middle = 2 * (p.first - p.slot->offset) + p.count;
    return std::pair(static_cast<double>(middle) / static_cast<double>(p.slot->count), -p.count);
  });
}

void Optimizer::visit(Visitor& v) {
  for (State& state : states_) v(state.name, *state.values);
  for (Slot& slot : slots_) v("steps." + slot.path, slot.steps);
}

void Optimizer::group(Parts& part, const GroupOptions& options) {
  for_each_parameter(part, [&](const std::string& path, Parameter& p) {
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [&](const Slot& s) { return s.storage == p.value().storage(); });
    check<UsageError>(slot != slots_.end(),
                      "group: the optimizer doesn't hold '{}'; construct it with the whole model", path);
    slot->lr_ratio = options.lr / lr_;
    slot->weight_decay = decays(p, rule_) ? options.weight_decay : 0;
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
  check<UsageError>(slab_->unowned.empty(),
                    "step: backward reached a parameter that no optimizer owns, through {}; list it in the "
                    "visit() of its module, pass it to "
                    "an optimizer, or freeze it with set_trainable(false)",
                    slab_->unowned);
  check_slots();
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
  slab_->unowned.clear();
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
