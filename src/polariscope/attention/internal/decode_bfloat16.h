// The products of few rows with many keys of bfloat16, with sums in single precision, where has_bfloat16_kernel().
#pragma once

#include "polariscope/attention/internal/decode.h"

#include <cstddef>

namespace polariscope::attention {

inline constexpr int kBfloat16Chunk = 32;  // numbers of a vector

// to[r * kDecodeKeys + j] = scale · q_r · k_j of `rows` rows, at most four, and the keys [0, count), a multiple of
// kDecodeKeysAtOnce. queries: whole chunks, `stride` apart.
void bfloat16_score_keys(const Bfloat16* const* keys, int count, int chunks, const Bfloat16* queries,
                         std::ptrdiff_t stride, int rows, float scale, float* to, const Fetch& fetch);
// to_r += Σ_j weights[r * kDecodeKeys + j] v_j of `rows` rows, at most four, `stride` apart. The odd last key needs a
// row of zeros behind it, and a weight of zero.
void bfloat16_add_values(const Bfloat16* const* values, int count, int chunks, const Bfloat16* weights, int rows,
                         float* to, std::ptrdiff_t stride, const Fetch& fetch);

// Rounded to nearest, ties to even. count: a multiple of kBfloat16Chunk; arrays are aligned.
void round_to_bfloat16(const float* from, std::int64_t count, Bfloat16* to);

}  // namespace polariscope::attention
