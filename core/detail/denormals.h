#pragma once

#include <ballast/core/real.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace ballast::inline BALLAST_PRECISION::detail {

/// While an object of this class exists, its thread keeps denormal operands and results, or treats them as
/// zero. No effect where the processor has no such setting.
class DenormalMode {
 public:
  DenormalMode(const DenormalMode&) = delete;
  DenormalMode& operator=(const DenormalMode&) = delete;

#ifdef __SSE__
  explicit DenormalMode(bool keep)
      : before_(_mm_getcsr()), set_(keep ? before_ & ~as_zero_bits : before_ | as_zero_bits) {
    if (set_ != before_) _mm_setcsr(set_);  // slow, so only where it changes something
  }
  ~DenormalMode() {
    if (set_ != before_) _mm_setcsr(before_);
  }

 private:
  static constexpr unsigned as_zero_bits = 0x8040;  // of results (FTZ) and of operands (DAZ)
  unsigned before_, set_;
#else
  explicit DenormalMode(bool) {}
#endif
};

/// Each operation with a denormal number would cost a hundred cycles, and a network that saturates is full of
/// them: parallel loops take them as zero.
struct FlushToZero : DenormalMode {
  FlushToZero() : DenormalMode(false) {}
};

/// For functions that would be far from right if a denormal counted as zero: a logarithm, a root, a
/// comparison.
struct KeepDenormals : DenormalMode {
  KeepDenormals() : DenormalMode(true) {}
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
