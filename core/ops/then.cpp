#include <ballast/core/ops/then.h>

#include <utility>

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/pooling.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

thread_local bool fusing_here = true;

}  // namespace

Tensor apply(const Then& then, Tensor y) {
  if (then.relu) y = relu(std::move(y));
  if (then.max_pool) y = max_pool2d(std::move(y), 2);
  return y;
}

bool fusing() { return fusing_here; }

UnfusedScope::UnfusedScope() : before_(std::exchange(fusing_here, false)) {}

UnfusedScope::~UnfusedScope() { fusing_here = before_; }

}  // namespace ballast::inline BALLAST_PRECISION
