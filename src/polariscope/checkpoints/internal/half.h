// Floats of 16 bits as floats of 32, without branches, so that loops over them become vectors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polariscope::checkpoints {

// A number at an address that need not be aligned.
template <class Number>
Number load(const std::byte* at) {
  Number number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

// IEEE 754 binary16: sign, 5 bits of exponent, 10 of mantissa. Exact; infinities and NaN stay what they are.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U, rest = half & 0x7FFFU;
  // Moved to a float's place the exponent is 112 too small: a product with 2^112 mends it, of subnormal numbers too.
  const float magnitude = std::bit_cast<float>(rest << 13U) * 0x1p112F;
  const std::uint32_t special = rest >= 0x7C00U ? 0x7F800000U : 0U;  // all ones in the exponent
  return std::bit_cast<float>(sign | special | std::bit_cast<std::uint32_t>(magnitude));
}

// The upper half of a float.
inline float bfloat_to_float(std::uint16_t bfloat) { return std::bit_cast<float>(std::uint32_t{bfloat} << 16U); }

inline float half_at(const std::byte* at) { return half_to_float(load<std::uint16_t>(at)); }

}  // namespace polariscope::checkpoints
