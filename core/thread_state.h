#pragma once

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

class CallObserver;
class CallScope;

/// What modules keep for each thread. No other thread reads or writes it, so nothing here is locked; whoever
/// adds to it takes that away again in its destructor, also when an exception passes.
struct ThreadState {
  CallScope* innermost_call = nullptr;
  CallObserver* observers = nullptr;
  int unfused_scopes = 0;
};

extern thread_local constinit ThreadState thread_state;

}  // namespace ballast::inline BALLAST_PRECISION
