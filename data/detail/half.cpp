#include <ballast/data/detail/half.h>

#include <cmath>
#include <cstring>

namespace ballast::inline BALLAST_PRECISION::detail {

float float_of_bits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

F16::operator float() const {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = bits >> 10 & 0x1F;
  const uint32_t fraction = bits & 0x3FF;
  // A subnormal half is a normal float: fraction * 2^-24.
  if (exponent == 0) return std::copysign(static_cast<float>(fraction) * 0x1p-24f, sign ? -1.0f : 1.0f);
  const uint32_t float_exponent = exponent == 31 ? 255 : exponent + 127 - 15;
  //~ const uint32_t float_exponent = exponent + 127 - 15;
  return float_of_bits(sign | float_exponent << 23 | fraction << 13);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
