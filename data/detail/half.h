#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

float float_of_bits(uint32_t bits);

struct Bf16 {
  uint16_t bits;
  operator float() const { return float_of_bits(uint32_t{bits} << 16); }
};

/// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits.
struct F16 {
  uint16_t bits;
  operator float() const;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
