#pragma once

#include <typeinfo>

#include <ballast/core/module.h>
#include <ballast/layers/functional/then.h>

namespace ballast::inline BALLAST_PRECISION {

/// A layer that can do an activation or pooling that follows it in the same pass over memory. It defines
/// `forward_then` in place of `forward`, and is called as `norm(x, then::relu)`; a Sequential does so by
/// itself.
///
/// A class derived from such a layer may override `forward` to compute something else. It isn't fused, and so
/// `forward` is what is called, unless it overrides `forward_then` and `fused_type` as well.
class Fusible : public Module {
 public:
  Tensor forward(Tensor x) override { return forward_then(std::move(x), {}); }
  /// The layer's result, and what `then` asks for applied to it.
  virtual Tensor forward_then(Tensor x, const Then& then) = 0;

  using Module::operator();
  Tensor operator()(Tensor x, const Then& then);
  /// Whether a call with `then` takes one pass.
  bool fuses(const Then& then) const;

 protected:
  Fusible() = default;
  /// What `forward_then` can do in one pass; the rest is done by operations of their own.
  virtual bool can_fuse(const Then& /*then*/) const { return true; }
  /// The class that `forward_then` was written for.
  virtual const std::type_info& fused_type() const = 0;
};

/// Whether this thread may do several layers together: not in an UnfusedScope, nor under a CallObserver,
/// which must see each layer separately.
bool may_fuse();

/// While it exists, nothing is fused on this thread, so that tests can compare.
class UnfusedScope {
 public:
  UnfusedScope();
  ~UnfusedScope();
  UnfusedScope(const UnfusedScope&) = delete;
  UnfusedScope& operator=(const UnfusedScope&) = delete;
};

}  // namespace ballast::inline BALLAST_PRECISION
