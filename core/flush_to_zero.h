#pragma once

#include <ballast/core/real.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace ballast::inline BALLAST_PRECISION {

/// While it lives, denormal numbers count as zero on this thread: each would cost a hundred cycles, and a
/// network that saturates is full of them.
class FlushToZero {
 public:
#ifdef __SSE__
  FlushToZero() : saved_(_mm_getcsr()) { set(saved_ | both); }
  ~FlushToZero() { set(saved_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  static constexpr unsigned both = 0x8040;  // results and operands
  // To set the register is slow; inside another one of these it needn't be.
  void set(unsigned value) const {
    if ((saved_ & both) != both) _mm_setcsr(value);
  }
  unsigned saved_;
#endif
};

}  // namespace ballast::inline BALLAST_PRECISION
