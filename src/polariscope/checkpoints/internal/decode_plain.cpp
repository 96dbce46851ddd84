// Types whose numbers stand alone.
#include "polariscope/checkpoints/internal/decode.h"
#include "polariscope/checkpoints/internal/half.h"

#include <array>
#include <cmath>
#include <limits>

namespace polariscope::checkpoints {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read as the memory holds them");

template <class Number>
void convert(const std::byte* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(load<Number>(in + i * static_cast<std::int64_t>(sizeof(Number))));
  }
}

using ByteTable = std::array<float, 256>;

// sign, `exponent_bits`, the rest mantissa; the exponent's offset is 2^(bits - 1) - 1. OCP 8-bit floating point, 1.0:
// E5M2 has infinities and NaN as IEEE 754 has, E4M3 only NaN, where all bits but the sign are one.
ByteTable eight_bit_floats(int exponent_bits, bool has_infinity) {
  const int mantissa_bits = 7 - exponent_bits, offset = (1 << (exponent_bits - 1)) - 1;
  const unsigned largest = (1U << exponent_bits) - 1, fractions = 1U << mantissa_bits;
  ByteTable table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    const unsigned exponent = (byte & 0x7FU) >> mantissa_bits, mantissa = byte & (fractions - 1);
    const unsigned significand = exponent == 0 ? mantissa : mantissa + fractions;
    const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - offset - mantissa_bits;
    float number = std::ldexp(static_cast<float>(significand), power);
    if (has_infinity && exponent == largest) {
      number = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    } else if (!has_infinity && (byte & 0x7FU) == 0x7FU) {
      number = std::numeric_limits<float>::quiet_NaN();
    }
    table[byte] = (byte & 0x80U) != 0 ? -number : number;
  }
  return table;
}

void look_up(const ByteTable& table, const std::byte* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = table[std::to_integer<std::size_t>(in[i])];
}

}  // namespace

void decode_bool(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i) out[i] = in[i] == std::byte{0} ? 0.0F : 1.0F;
}

void decode_u8(const std::byte* in, std::int64_t blocks, float* out) { convert<std::uint8_t>(in, blocks, out); }
void decode_i8(const std::byte* in, std::int64_t blocks, float* out) { convert<std::int8_t>(in, blocks, out); }
void decode_u16(const std::byte* in, std::int64_t blocks, float* out) { convert<std::uint16_t>(in, blocks, out); }
void decode_i16(const std::byte* in, std::int64_t blocks, float* out) { convert<std::int16_t>(in, blocks, out); }
void decode_u32(const std::byte* in, std::int64_t blocks, float* out) { convert<std::uint32_t>(in, blocks, out); }
void decode_i32(const std::byte* in, std::int64_t blocks, float* out) { convert<std::int32_t>(in, blocks, out); }
void decode_u64(const std::byte* in, std::int64_t blocks, float* out) { convert<std::uint64_t>(in, blocks, out); }
void decode_i64(const std::byte* in, std::int64_t blocks, float* out) { convert<std::int64_t>(in, blocks, out); }
void decode_f64(const std::byte* in, std::int64_t blocks, float* out) { convert<double>(in, blocks, out); }

void decode_f32(const std::byte* in, std::int64_t blocks, float* out) {
  if (blocks > 0) std::memcpy(out, in, static_cast<std::size_t>(blocks) * sizeof(float));
}

void decode_f16(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i) out[i] = half_at(in + 2 * i);
}

void decode_bf16(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i) out[i] = bfloat_to_float(load<std::uint16_t>(in + 2 * i));
}

void decode_f8_e4m3(const std::byte* in, std::int64_t blocks, float* out) {
  static const ByteTable kTable = eight_bit_floats(4, false);
  look_up(kTable, in, blocks, out);
}

void decode_f8_e5m2(const std::byte* in, std::int64_t blocks, float* out) {
  static const ByteTable kTable = eight_bit_floats(5, true);
  look_up(kTable, in, blocks, out);
}

}  // namespace polariscope::checkpoints
