// From stored blocks to floats, one function per type. Layouts of ggml's blocks: ggml-common.h and the package gguf's
// quants.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polariscope::checkpoints {

// Decodes `blocks` whole blocks at `in` to out. `in` need not be aligned.
using Decode = void (*)(const std::byte* in, std::int64_t blocks, float* out);

void decode_bool(const std::byte* in, std::int64_t blocks, float* out);
void decode_u8(const std::byte* in, std::int64_t blocks, float* out);
void decode_i8(const std::byte* in, std::int64_t blocks, float* out);
void decode_u16(const std::byte* in, std::int64_t blocks, float* out);
void decode_i16(const std::byte* in, std::int64_t blocks, float* out);
void decode_u32(const std::byte* in, std::int64_t blocks, float* out);
void decode_i32(const std::byte* in, std::int64_t blocks, float* out);
void decode_u64(const std::byte* in, std::int64_t blocks, float* out);
void decode_i64(const std::byte* in, std::int64_t blocks, float* out);
void decode_f64(const std::byte* in, std::int64_t blocks, float* out);
void decode_f32(const std::byte* in, std::int64_t blocks, float* out);
void decode_f16(const std::byte* in, std::int64_t blocks, float* out);
void decode_bf16(const std::byte* in, std::int64_t blocks, float* out);
void decode_f8_e4m3(const std::byte* in, std::int64_t blocks, float* out);
void decode_f8_e5m2(const std::byte* in, std::int64_t blocks, float* out);

// 32 numbers
void decode_q4_0(const std::byte* in, std::int64_t blocks, float* out);
void decode_q4_1(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_0(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_1(const std::byte* in, std::int64_t blocks, float* out);
void decode_q8_0(const std::byte* in, std::int64_t blocks, float* out);
void decode_iq4_nl(const std::byte* in, std::int64_t blocks, float* out);
void decode_mxfp4(const std::byte* in, std::int64_t blocks, float* out);

// 256 numbers
void decode_q2_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q3_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q4_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q6_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_iq4_xs(const std::byte* in, std::int64_t blocks, float* out);

}  // namespace polariscope::checkpoints
