#pragma once

#include <memory>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

struct OpenScopes;
struct ScopeLink;
class Tape;

/// Decides, while it exists, what operations and layers do on this thread: record or not, and which parts of
/// training mode are on. Scopes nest in the order in which they begin; the innermost one that hasn't ended
/// decides. Without any, nothing is recorded and layers evaluate. Scopes may be heap objects, end in any
/// order, and end on another thread, which takes effect at the first thread's next operation.
class Scope {
 public:
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  static bool batch_statistics() { return now().batch_statistics; }
  static bool dropout() { return now().dropout; }
  static bool running_statistics() { return now().running_statistics; }

 protected:
  struct State {
    Tape* recording = nullptr;
    bool batch_statistics = false;   // norms use the batch's statistics
    bool running_statistics = true;  // ... and update the running ones
    bool dropout = false;
  };
  /// A scope's state as a function of the enclosing one's.
  using Inside = State (*)(const State& outside, Tape* tape);

  explicit Scope(Inside inside, Tape* tape = nullptr);
  /// From now on this scope has no effect.
  void end();
  bool ended() const;
  /// Whether this scope decides; false on any other thread than its own.
  bool innermost() const;
  static State now();

 private:
  friend struct OpenScopes;
  friend struct ScopeLink;
  // Shared with the thread that the scope began on, so that the scope may be destroyed on another one.
  std::shared_ptr<ScopeLink> link_;
};

/// Nothing is recorded and layers evaluate, even inside a tape.
class EvalScope : public Scope {
 public:
  EvalScope() : Scope([](const State&, Tape*) { return State{}; }) {}
};

/// Norms use and track the statistics of the batch, everything else evaluates, nothing is recorded: for
/// re-estimating running statistics over a data set.
class StatisticsScope : public Scope {
 public:
  StatisticsScope() : Scope([](const State&, Tape*) { return State{.batch_statistics = true}; }) {}
};

/// Layers evaluate, and recording goes on as outside: for the calls of layers with frozen.mode.
class FrozenModeScope : public Scope {
 public:
  FrozenModeScope()
      : Scope([](const State& outside, Tape*) { return State{.recording = outside.recording}; }) {}
};

/// As outside, but running statistics stay as they are.
class FrozenStatisticsScope : public Scope {
 public:
  FrozenStatisticsScope()
      : Scope([](const State& outside, Tape*) {
          State state = outside;
          state.running_statistics = false;
          return state;
        }) {}
};

}  // namespace ballast::inline BALLAST_PRECISION
