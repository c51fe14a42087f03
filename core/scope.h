#pragma once

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

class Tape;

/// What operations and layers do on this thread, as long as it lives: record or not, and which halves of
/// training mode are on. Scopes nest; the innermost one that hasn't ended rules. Without any, nothing is
/// recorded and layers evaluate.
class Scope {
 public:
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  static bool batch_statistics() { return now().batch_statistics_; }
  static bool dropout() { return now().dropout_; }
  static bool running_statistics() { return now().running_statistics_; }

 protected:
  struct State {
    Tape* recording = nullptr;
    bool batch_statistics_ = false;   // norms use the batch's statistics
    bool running_statistics_ = true;  // ... and update the running ones
    bool dropout_ = false;
  };
  explicit Scope(const State& state);
  /// The rest of this scope's life changes nothing any more.
  void end() { ended_ = true; }
  bool ended() const { return ended_; }
  /// No scope opened later is still in force.
  bool innermost() const;
  static const State& now();

 private:
  State state_;
  Scope* outer_;
  bool ended_ = false;
};

/// Nothing is recorded and layers evaluate, even while a tape lives outside.
class EvalScope : public Scope {
 public:
  EvalScope() : Scope(State{}) {}
};

/// Norms use and track the statistics of the batch, everything else evaluates, nothing is recorded: for
/// re-estimating running statistics over a data set.
class StatisticsScope : public Scope {
 public:
  StatisticsScope() : Scope(State{.batch_statistics_ = true}) {}
};

/// Layers evaluate, recording goes on as outside: what a layer frozen by mode lives in.
class FrozenModeScope : public Scope {
 public:
  FrozenModeScope() : Scope(State{.recording = now().recording}) {}
};

/// As outside, but running statistics stay as they are.
class FrozenStatisticsScope : public Scope {
 public:
  FrozenStatisticsScope();
};

}  // namespace ballast::inline BALLAST_PRECISION
