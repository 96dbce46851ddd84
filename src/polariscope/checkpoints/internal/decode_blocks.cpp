// ggml's blocks of 32 numbers: a scale d (binary16), for some an offset m, then 32 small integers q. Two integers of
// four bits share a byte: the low halves are numbers 0 to 15, the high ones 16 to 31.
#include "polariscope/checkpoints/internal/block_tables.h"
#include "polariscope/checkpoints/internal/decode.h"
#include "polariscope/checkpoints/internal/half.h"

#include <array>

namespace polariscope::checkpoints {
namespace {

constexpr std::size_t kNumbers = 32, kHalf = kNumbers / 2;

using Codes = std::array<std::uint8_t, kHalf>;

// A copy, which no store of a float can change: the loops over it become vectors.
Codes codes_at(const std::byte* at) { return load<Codes>(at); }

// d q + m of four-bit integers q, moved by `offset` first.
void four_bits(const Codes& codes, int offset, float d, float m, float* out) {
  for (std::size_t i = 0; i < kHalf; ++i) out[i] = d * static_cast<float>((codes[i] & 0xF) + offset) + m;
  for (std::size_t i = 0; i < kHalf; ++i) out[i + kHalf] = d * static_cast<float>((codes[i] >> 4) + offset) + m;
}

// 16 where bit i of the two bytes at `bits` is set, else 0.
Codes sixteens(const std::byte* bits) {
  constexpr Codes kBits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  Codes spread;
  std::memset(spread.data(), std::to_integer<int>(bits[0]), kHalf / 2);
  std::memset(spread.data() + kHalf / 2, std::to_integer<int>(bits[1]), kHalf / 2);
  for (std::size_t i = 0; i < kHalf; ++i) spread[i] = (spread[i] & kBits[i]) == kBits[i] ? 16 : 0;
  return spread;
}

// The same for five bits, the fifth of number i being bit i of the four bytes at `high`.
void five_bits(const Codes& codes, const std::byte* high, int offset, float d, float m, float* out) {
  const Codes low_fifths = sixteens(high), high_fifths = sixteens(high + 2);
  for (std::size_t i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>(((codes[i] & 0xF) | low_fifths[i]) + offset) + m;
  }
  for (std::size_t i = 0; i < kHalf; ++i) {
    out[i + kHalf] = d * static_cast<float>(((codes[i] >> 4) | high_fifths[i]) + offset) + m;
  }
}

// d times the table's number.
void codes_of_table(const Codes& codes, const FourBitTable& table, float d, float* out) {
  for (std::size_t i = 0; i < kHalf; ++i) {
    out[i] = d * table[codes[i] & 0xFU];
    out[i + kHalf] = d * table[codes[i] >> 4U];
  }
}

// Half of 2^(exponent - 127), since MXFP4's table holds doubled numbers; as floats the smallest two are subnormal.
float half_of_power(std::uint8_t exponent) {
  if (exponent < 2) return std::bit_cast<float>(0x00200000U << exponent);
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent - 1) << 23U);
}

}  // namespace

void decode_q4_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kNumbers) four_bits(codes_at(in + 2), -8, half_at(in), 0, out);
}

void decode_q4_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 20, out += kNumbers)
    four_bits(codes_at(in + 4), 0, half_at(in), half_at(in + 2), out);
}

void decode_q5_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 22, out += kNumbers) {
    five_bits(codes_at(in + 6), in + 2, -16, half_at(in), 0, out);
  }
}

void decode_q5_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 24, out += kNumbers) {
    five_bits(codes_at(in + 8), in + 4, 0, half_at(in), half_at(in + 2), out);
  }
}

void decode_q8_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 34, out += kNumbers) {
    const float d = half_at(in);
    const auto q = load<std::array<std::int8_t, kNumbers>>(in + 2);
    for (std::size_t i = 0; i < kNumbers; ++i) out[i] = d * static_cast<float>(q[i]);
  }
}

void decode_iq4_nl(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kNumbers)
    codes_of_table(codes_at(in + 2), kIq4Numbers, half_at(in), out);
}

void decode_mxfp4(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 17, out += kNumbers) {
    codes_of_table(codes_at(in + 1), kE2M1Doubled, half_of_power(std::to_integer<std::uint8_t>(in[0])), out);
  }
}

}  // namespace polariscope::checkpoints
