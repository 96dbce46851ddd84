// ggml's blocks of 32 numbers: a scale d (binary16), for some an offset m, then 32 small integers q. Two integers of
// four bits share a byte: the low halves are numbers 0 to 15, the high ones 16 to 31.
#include "polariscope/checkpoints/internal/block_tables.h"
#include "polariscope/checkpoints/internal/decode.h"
#include "polariscope/checkpoints/internal/half.h"

namespace polariscope::checkpoints {
namespace {

constexpr int kNumbers = 32, kHalf = kNumbers / 2;

// d q + m of four-bit integers q, moved by `offset` first.
void four_bits(const std::byte* codes, int offset, float d, float m, float* out) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(codes);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>((bytes[i] & 0xF) + offset) + m;
    out[i + kHalf] = d * static_cast<float>((bytes[i] >> 4) + offset) + m;
  }
}

// The same for five bits, the fifth of number i being bit i of `high`.
void five_bits(const std::byte* codes, std::uint32_t high, int offset, float d, float m, float* out) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(codes);
  for (unsigned i = 0; i < kHalf; ++i) {
    const unsigned low_fifth = ((high >> i) & 1U) << 4U, high_fifth = ((high >> (i + kHalf)) & 1U) << 4U;
    out[i] = d * static_cast<float>(static_cast<int>((bytes[i] & 0xFU) | low_fifth) + offset) + m;
    out[i + kHalf] = d * static_cast<float>(static_cast<int>((bytes[i] >> 4U) | high_fifth) + offset) + m;
  }
}

// d times the table's number.
void codes_of_table(const std::byte* codes, const FourBitTable& table, float d, float* out) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(codes);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * table[bytes[i] & 0xF];
    out[i + kHalf] = d * table[bytes[i] >> 4];
  }
}

// Half of 2^(exponent - 127), since MXFP4's table holds doubled numbers; as floats the smallest two are subnormal.
float half_of_power(std::uint8_t exponent) {
  if (exponent < 2) return std::bit_cast<float>(0x00200000U << exponent);
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent - 1) << 23U);
}

}  // namespace

void decode_q4_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kNumbers) four_bits(in + 2, -8, half_at(in), 0, out);
}

void decode_q4_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 20, out += kNumbers) four_bits(in + 4, 0, half_at(in), half_at(in + 2), out);
}

void decode_q5_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 22, out += kNumbers) {
    five_bits(in + 6, load<std::uint32_t>(in + 2), -16, half_at(in), 0, out);
  }
}

void decode_q5_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 24, out += kNumbers) {
    five_bits(in + 8, load<std::uint32_t>(in + 4), 0, half_at(in), half_at(in + 2), out);
  }
}

void decode_q8_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 34, out += kNumbers) {
    const float d = half_at(in);
    const auto* q = reinterpret_cast<const std::int8_t*>(in + 2);
    for (int i = 0; i < kNumbers; ++i) out[i] = d * static_cast<float>(q[i]);
  }
}

void decode_iq4_nl(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kNumbers) codes_of_table(in + 2, kIq4Numbers, half_at(in), out);
}

void decode_mxfp4(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 17, out += kNumbers) {
    codes_of_table(in + 1, kE2M1Doubled, half_of_power(std::to_integer<std::uint8_t>(in[0])), out);
  }
}

}  // namespace polariscope::checkpoints
