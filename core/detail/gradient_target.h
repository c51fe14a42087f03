#pragma once

#include <algorithm>

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Memory for the gradient of an input, for kernels that add to what is there: zeros if it is the first
/// gradient to arrive. An input that takes none gets memory that nobody reads.
class GradientTarget {
 public:
  GradientTarget(Grads& grads, NodeId id, const Shape& shape) {
    if (!grads.wants(id)) {
      unread_ = zeros(shape);
      at_ = unread_.data();
    }
    grads.write(id, shape, [&](real* g, real beta) {
      if (beta == 0) std::fill_n(g, shape.count(), real{0});
      at_ = g;
    });
  }
  real* data() const { return at_; }

 private:
  Tensor unread_;
  real* at_ = nullptr;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
