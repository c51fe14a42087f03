#pragma once

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

class CallObserver;
class CallScope;
struct OpenScopes;

/// What scopes and modules keep for each thread. No other thread reads or writes it, so nothing here is
/// locked; whoever adds to it undoes that in its destructor, also when an exception passes.
struct ThreadState {
  OpenScopes* scopes = nullptr;  // null before the first and after the thread's end
  CallScope* innermost_call = nullptr;
  CallObserver* observers = nullptr;
  int unfused_scopes = 0;
};

extern thread_local constinit ThreadState thread_state;

}  // namespace ballast::inline BALLAST_PRECISION
