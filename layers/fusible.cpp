#include <ballast/layers/fusible.h>

#include <ballast/core/thread_state.h>

namespace ballast::inline BALLAST_PRECISION {

bool may_fuse() { return thread_state.unfused_scopes == 0 && !thread_state.observers; }

bool Fusible::fuses(const Then& then) const {
  const bool possible = then && (then.max_pool || !then.falls_and_rises());
  return possible && may_fuse() && typeid(*this) == fused_type() && can_fuse(then);
}

Tensor Fusible::operator()(Tensor x, const Then& then) {
  if (!fuses(then)) return apply(then, (*this)(std::move(x)));
  const CallScope scope(*this);
  return forward_then(std::move(x), then);
}

UnfusedScope::UnfusedScope() { ++thread_state.unfused_scopes; }

UnfusedScope::~UnfusedScope() { --thread_state.unfused_scopes; }

}  // namespace ballast::inline BALLAST_PRECISION
