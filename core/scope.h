#pragma once

#include <memory>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

struct OpenScopes;
struct ScopeLink;
class Tape;

/// What operations and layers do on this thread, as long as it lives: record or not, and which halves of
/// training mode are on. Scopes nest in the order in which they begin; the innermost one that hasn't ended
/// rules. Without any, nothing is recorded and layers evaluate. They may end in any order, also on the heap,
/// and on another thread: the one they began on then notices at its next operation.
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
  /// What holds inside a scope, given what holds around it.
  using Inside = State (*)(const State& outside, Tape* tape);

  explicit Scope(Inside inside, Tape* tape = nullptr);
  /// The rest of this scope's life changes nothing any more.
  void end();
  bool ended() const;
  /// Whether this scope rules; false on any other thread than its own.
  bool innermost() const;
  static State now();

 private:
  friend struct OpenScopes;
  friend struct ScopeLink;
  // Shared with the thread that the scope began on, so that the scope may be destroyed on another one.
  std::shared_ptr<ScopeLink> link_;
};

/// Nothing is recorded and layers evaluate, even while a tape lives outside.
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

/// Layers evaluate, recording goes on as outside: what a layer frozen by mode lives in.
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
