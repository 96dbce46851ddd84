// ggml's blocks of 256 numbers: one scale d (binary16) for all, small integers that scale (and move) groups of 16 or 32
// numbers, and integers of 2 to 6 bits whose low and high bits lie apart.
#include "polariscope/checkpoints/internal/block_tables.h"
#include "polariscope/checkpoints/internal/decode.h"
#include "polariscope/checkpoints/internal/half.h"

#include <array>

namespace polariscope::checkpoints {
namespace {

const std::uint8_t* unsigned_bytes(const std::byte* at) { return reinterpret_cast<const std::uint8_t*>(at); }

using Sixteen = std::array<std::uint8_t, 16>;

// A copy, which no store of a float can change: the loops over it become vectors.
Sixteen sixteen_at(const std::uint8_t* at) {
  Sixteen bytes;
  std::memcpy(bytes.data(), at, bytes.size());
  return bytes;
}

struct ScalesAndMinima {
  std::array<float, 8> scale, minimum;
};

// Of Q4_K and Q5_K: eight scales and eight minima of six bits in twelve bytes. The first four of each lie in bytes 0-3
// and 4-7; of the last four bytes 8-11 hold the low four bits and the top of bytes 0-7 the high two.
ScalesAndMinima scales_and_minima(const std::uint8_t* packed, float d, float d_minimum) {
  ScalesAndMinima unpacked{};
  for (std::size_t i = 0; i < 4; ++i) {
    const int scale = packed[i] & 0x3F, minimum = packed[i + 4] & 0x3F;
    const int late_scale = (packed[i + 8] & 0xF) | ((packed[i] >> 2) & 0x30);
    const int late_minimum = (packed[i + 8] >> 4) | ((packed[i + 4] >> 2) & 0x30);
    unpacked.scale[i] = d * static_cast<float>(scale);
    unpacked.scale[i + 4] = d * static_cast<float>(late_scale);
    unpacked.minimum[i] = d_minimum * static_cast<float>(minimum);
    unpacked.minimum[i + 4] = d_minimum * static_cast<float>(late_minimum);
  }
  return unpacked;
}

// Of Q3_K: sixteen scales of six bits, moved by 32. The low four bits are the halves of bytes 0-7, the high two a
// quarter of bytes 8-11.
std::array<float, 16> sixteen_scales(const std::uint8_t* packed, float d) {
  std::array<float, 16> scales{};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned low = (packed[i % 8] >> (i < 8 ? 0U : 4U)) & 0xFU, high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3U;
    scales[i] = d * static_cast<float>(static_cast<int>(low | high << 4U) - 32);
  }
  return scales;
}

}  // namespace

// 16 bytes of scale (low half) and minimum (high half) of 16 numbers each; 64 of codes; d, d of the minima.
void decode_q2_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 84) {
    const std::uint8_t *scales = unsigned_bytes(in), *codes = scales + 16;
    const float d = half_at(in + 80), d_minimum = half_at(in + 82);
    for (int group = 0; group < 16; ++group, out += 16) {
      const float scale = d * static_cast<float>(scales[group] & 0xF);
      const float minimum = d_minimum * static_cast<float>(scales[group] >> 4);
      const Sixteen bytes = sixteen_at(codes + group / 8 * 32 + group % 2 * 16);
      const int shift = group % 8 / 2 * 2;
      for (std::size_t i = 0; i < 16; ++i) out[i] = scale * static_cast<float>((bytes[i] >> shift) & 3) - minimum;
    }
  }
}

// 32 bytes of third bits, which where they are 0 take 4 away; 64 of the low two; 12 of scales; d.
void decode_q3_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 110) {
    const std::uint8_t *third = unsigned_bytes(in), *codes = third + 32;
    const std::array<float, 16> scales = sixteen_scales(codes + 64, half_at(in + 108));
    for (int group = 0; group < 16; ++group, out += 16) {
      const int at = group % 2 * 16, shift = group % 8 / 2 * 2, bit = group / 2;
      const Sixteen low = sixteen_at(codes + group / 8 * 32 + at), high = sixteen_at(third + at);
      const float scale = scales[static_cast<std::size_t>(group)];
      for (std::size_t i = 0; i < 16; ++i) {
        out[i] = scale * static_cast<float>(((low[i] >> shift) & 3) + ((high[i] >> bit) & 1) * 4 - 4);
      }
    }
  }
}

// d, d of the minima; 12 bytes of scales and minima; 128 of codes, two groups of 32 numbers in 32 bytes.
void decode_q4_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 144) {
    const auto [scale, minimum] = scales_and_minima(unsigned_bytes(in + 4), half_at(in), half_at(in + 2));
    const std::uint8_t* bytes = unsigned_bytes(in + 16);
    for (std::size_t group = 0; group < 8; ++group, out += 32) {
      const std::uint8_t* low = bytes + group / 2 * 32;
      const int shift = group % 2 == 0 ? 0 : 4;
      const float d = scale[group], m = minimum[group];
      for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>((low[i] >> shift) & 0xF) - m;
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the codes: bit g belongs to group g.
void decode_q5_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 176) {
    const auto [scale, minimum] = scales_and_minima(unsigned_bytes(in + 4), half_at(in), half_at(in + 2));
    const std::uint8_t *fifth = unsigned_bytes(in + 16), *bytes = fifth + 32;
    for (std::size_t group = 0; group < 8; ++group, out += 32) {
      const std::uint8_t* low = bytes + group / 2 * 32;
      const int shift = group % 2 == 0 ? 0 : 4, bit = static_cast<int>(group);
      const float d = scale[group], m = minimum[group];
      for (int i = 0; i < 32; ++i) {
        out[i] = d * static_cast<float>(((low[i] >> shift) & 0xF) | (((fifth[i] >> bit) & 1) << 4)) - m;
      }
    }
  }
}

// 128 bytes of low four bits, 64 of the high two, 16 signed scales of 16 numbers each, d. Of every 128 numbers the
// first 64 are low halves of 64 bytes, the others the high ones.
void decode_q6_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 210) {
    const std::uint8_t *low = unsigned_bytes(in), *high = low + 128;
    const auto* scales = reinterpret_cast<const std::int8_t*>(in + 192);
    const float d = half_at(in + 208);
    for (int group = 0; group < 16; ++group, out += 16) {
      const int half = group / 8, at = group % 8 * 16;
      const Sixteen low_bits = sixteen_at(low + half * 64 + at % 64),
                    high_bits = sixteen_at(high + half * 32 + at % 32);
      const int low_shift = at < 64 ? 0 : 4, high_shift = at / 32 * 2;
      const float scale = d * static_cast<float>(scales[group]);
      for (std::size_t i = 0; i < 16; ++i) {
        const int code = ((low_bits[i] >> low_shift) & 0xF) | (((high_bits[i] >> high_shift) & 3) << 4);
        out[i] = scale * static_cast<float>(code - 32);
      }
    }
  }
}

// d; two bytes of high bits and four of low ones of eight scales of six bits, moved by 32; 128 of codes, 32 numbers
// in 16.
void decode_iq4_xs(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 136) {
    const float d = half_at(in);
    const unsigned high = load<std::uint16_t>(in + 2);
    const std::uint8_t *low = unsigned_bytes(in + 4), *codes = low + 4;
    for (unsigned group = 0; group < 8; ++group, codes += 16, out += 32) {
      const unsigned scale = ((low[group / 2] >> (group % 2 * 4)) & 0xFU) | ((high >> (2 * group)) & 3U) << 4U;
      const float scaled = d * static_cast<float>(static_cast<int>(scale) - 32);
      for (int i = 0; i < 16; ++i) {
        out[i] = scaled * kIq4Numbers[codes[i] & 0xF];
        out[i + 16] = scaled * kIq4Numbers[codes[i] >> 4];
      }
    }
  }
}

}  // namespace polariscope::checkpoints
