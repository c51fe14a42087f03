#include <ballast/core/recompute.h>

#include <exception>
#include <utility>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// A tape inside another one, which records the block as the outer one would: its state, and the numbers that
// key dropout's masks.
struct Tape::Within {
  State state;
  uint64_t number, first_call;
  bool detects_anomaly;

  static Within current() {
    const State state = now();
    const Tape& outer = *state.recording;
    return {state, outer.number_, outer.calls_, outer.detects_anomaly_};
  }
  // The second time, running statistics have been updated already.
  Within again() const {
    Within second = *this;
    second.state.running_statistics = false;
    //~
    return second;
  }
};

Tape::Tape(const Within& within)
    : Scope(
          [](const State&, Tape* tape) {
            State state = tape->within_->state;
            state.recording = tape;
            return state;
          },
          this),
      within_(&within),
      serial_(next_serial()),
      number_(within.number),
      calls_(within.first_call),
      exceptions_(std::uncaught_exceptions()),
      detects_anomaly_(within.detects_anomaly) {
  take_memory();
}

namespace {

struct RecomputedBlock {
  std::function<Tensor(Tensor)> block;
  Tape::Within within;
  NodeId in;
  Tensor x;

  void operator()(Tensor dy, Grads& grads) {
    grads.let_inner_tapes_write();
    const Tape::Within again = within.again();
    Tape tape(again);
    Tensor input = x.detach();
    if (grads.wants(in)) tape.watch(input);
    const Tensor y = block(input);
    tape.backward(y, std::move(dy));  // which may be overwritten
    if (grads.wants(in)) grads.add(in, tape.grad(input));
  }
};

}  // namespace

Tensor recomputed(std::function<Tensor(Tensor)> block, Tensor x) {
  if (!Tape::recording()) return block(std::move(x));
  const NodeId in = x.node();
  Tape& outer = *Tape::recording();
  const Tape::Within within = Tape::Within::current();
  Tensor y;
  {
    Tape tape(within);
    Tensor input = x.detach();
    if (in) tape.watch(input);
    y = block(input);
    outer.continue_after(tape);
    const bool constant = !y.node();
    y = y.detach();
    if (constant) return y;
  }
  outer.push("recomputed", y, RecomputedBlock{std::move(block), within, in, x.detach()});
  return y;
}

}  // namespace ballast::inline BALLAST_PRECISION
