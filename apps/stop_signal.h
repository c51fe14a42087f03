#pragma once

#include <csignal>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// While it lives, the first SIGINT or SIGTERM is only noted, so that the program can save and end in good
/// order. A second one kills at once.
class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  /// The signal that arrived, or 0.
  static int received();

 private:
  struct sigaction old_interrupt_ {
  }, old_terminate_{};
};

}  // namespace ballast::inline BALLAST_PRECISION
