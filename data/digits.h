#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

constexpr int digit_side = 28;
constexpr int digit_pixels = digit_side * digit_side;

/// Which of the two never-overlapping sequences of digits a sample belongs to.
enum class DigitSplit : uint32_t { train, test };

/// Draws sample `index` >= 0 of the built-in digits into pixels (28, 28), white on black, and returns its
/// class 0 ... 9. The sample is a pure function of (seed, split, index), with the same bytes on every
/// machine: random numbers are Philox's, and the arithmetic is IEEE single precision without fused operations
/// or a mathematics library.
int draw_digit(uint64_t seed, DigitSplit split, int64_t index, uint8_t* pixels);

}  // namespace ballast::inline BALLAST_PRECISION
