#pragma once

#include <algorithm>
#include <initializer_list>

#include <ballast/core/detail/denormals.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Whether a result of `count` elements is so large that its beginning is evicted from the caches before it
/// is read again. Non-temporal stores then save reading it into the caches, and evict nothing else.
inline bool leaves_caches(int64_t count) { return count * int64_t{sizeof(real)} > tuning::cached_bytes; }

/// Computes y on several threads: write(begin, end, to) writes elements begin, ..., end-1, and `to` is the
/// first of them. No stores are non-temporal in the memory of an operand: its cache lines are read anyway.
template <class Write>
void write_result(Tensor& y, std::initializer_list<const real*> operands, bool keep_denormals, Write write) {
  real* to = y.data();
  const bool in_place = std::find(operands.begin(), operands.end(), to) != operands.end();
  const bool large = leaves_caches(y.count());
  parallel_for(y.count(), tuning::elementwise_grain, [&](int64_t begin, int64_t end) {
    const DenormalMode denormals(keep_denormals);
    write(begin, end, Destination{to + begin, large && !in_place});
    if (large) kernels().end_streams();
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
