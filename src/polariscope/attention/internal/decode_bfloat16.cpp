#include "polariscope/attention/internal/decode_bfloat16.h"

#if defined(__x86_64__) && (__GNUC__ >= 11 || defined(__clang__))
#include <immintrin.h>
#define POLARISCOPE_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define POLARISCOPE_INLINE POLARISCOPE_TARGET __attribute__((always_inline)) inline
#else
#define POLARISCOPE_TARGET
#endif

namespace polariscope::attention {

#if defined(POLARISCOPE_INLINE)
namespace {

constexpr int kRowsAtOnce = 4;

// The line of a row's number `at`, into the second-level cache: the first would lose what is multiplied now.
POLARISCOPE_INLINE void fetch_line(const Fetch& fetch, int row, std::ptrdiff_t at) {
  if (fetch.rows == nullptr) return;
  _mm_prefetch(static_cast<const char*>(fetch.rows[row]) + at * fetch.bytes, _MM_HINT_T1);
}

POLARISCOPE_INLINE __m512bh load(const void* from) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from)); }

// The sum of all lanes of each of v[0..4).
POLARISCOPE_INLINE __m128 sums_of(const __m512 (&v)[kDecodeKeysAtOnce]) {
  const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
  const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
  const __m512d wide_a = _mm512_castps_pd(a), wide_b = _mm512_castps_pd(b);
  const __m512 all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(wide_a, wide_b)),
                                   _mm512_castpd_ps(_mm512_unpackhi_pd(wide_a, wide_b)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

template <int kRows>
POLARISCOPE_TARGET void score(const Bfloat16* const* keys, int count, int chunks, const Bfloat16* queries,
                              std::ptrdiff_t stride, float scale, float* to, const Fetch& fetch) {
  const __m128 by = _mm_set1_ps(scale);
  for (int j = 0; j < count; j += kDecodeKeysAtOnce) {
    __m512 sum[kRows][kDecodeKeysAtOnce];
    const Bfloat16* row[kDecodeKeysAtOnce];
#pragma GCC unroll 4
    for (int k = 0; k < kDecodeKeysAtOnce; ++k) {
      row[k] = keys[j + k];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][k] = _mm512_setzero_ps();
    }
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{kBfloat16Chunk} * chunks; i += kBfloat16Chunk) {
      __m512bh key[kDecodeKeysAtOnce];
#pragma GCC unroll 4
      for (int k = 0; k < kDecodeKeysAtOnce; ++k) {
        fetch_line(fetch, j + k, i);
        key[k] = load(row[k] + i);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m512bh query = load(queries + r * stride + i);
#pragma GCC unroll 4
        for (int k = 0; k < kDecodeKeysAtOnce; ++k) sum[r][k] = _mm512_dpbf16_ps(sum[r][k], query, key[k]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) _mm_storeu_ps(to + r * kDecodeKeys + j, _mm_mul_ps(sums_of(sum[r]), by));
  }
}

// Of kChunks chunks from number `at` on.
template <int kRows, int kChunks>
POLARISCOPE_TARGET void add_chunks(const Bfloat16* const* values, int count, std::ptrdiff_t at, const Bfloat16* weights,
                                   float* to, std::ptrdiff_t stride, const Fetch& fetch) {
  // Numbers of two keys, one beside the other: the first 16 of a chunk, and the rest.
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                       5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  __m512 sum[kRows][2 * kChunks];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < 2 * kChunks; ++v) sum[r][v] = _mm512_load_ps(to + r * stride + at + 16 * v);
  }
  for (int j = 0; j < count; j += 2) {
    __m512bh pair[2 * kChunks];
#pragma GCC unroll 4
    for (int c = 0; c < kChunks; ++c) {
      fetch_line(fetch, j, at + kBfloat16Chunk * c);
      fetch_line(fetch, j + 1, at + kBfloat16Chunk * c);
      const __m512i first = _mm512_loadu_si512(values[j] + at + kBfloat16Chunk * c);
      const __m512i second = _mm512_loadu_si512(values[j + 1] + at + kBfloat16Chunk * c);
      pair[2 * c] = reinterpret_cast<__m512bh>(_mm512_permutex2var_epi16(first, low, second));
      pair[2 * c + 1] = reinterpret_cast<__m512bh>(_mm512_permutex2var_epi16(first, high, second));
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      int both = 0;
      __builtin_memcpy(&both, weights + r * kDecodeKeys + j, sizeof(both));
      const auto weight = reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
#pragma GCC unroll 4
      for (int v = 0; v < 2 * kChunks; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], weight, pair[v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < 2 * kChunks; ++v) _mm512_store_ps(to + r * stride + at + 16 * v, sum[r][v]);
  }
}

template <int kRows>
void add(const Bfloat16* const* values, int count, int chunks, const Bfloat16* weights, float* to,
         std::ptrdiff_t stride, const Fetch& fetch) {
  int c = 0;
  for (; c + 2 <= chunks; c += 2) {
    add_chunks<kRows, 2>(values, count, c * kBfloat16Chunk, weights, to, stride, fetch);
  }
  if (c < chunks) add_chunks<kRows, 1>(values, count, c * kBfloat16Chunk, weights, to, stride, fetch);
}

}  // namespace

void bfloat16_score_keys(const Bfloat16* const* keys, int count, int chunks, const Bfloat16* queries,
                         std::ptrdiff_t stride, int rows, float scale, float* to, const Fetch& fetch) {
  switch (rows) {
    case 1: return score<1>(keys, count, chunks, queries, stride, scale, to, fetch);
    case 2: return score<2>(keys, count, chunks, queries, stride, scale, to, fetch);
    case 3: return score<3>(keys, count, chunks, queries, stride, scale, to, fetch);
    default: return score<kRowsAtOnce>(keys, count, chunks, queries, stride, scale, to, fetch);
  }
}

void bfloat16_add_values(const Bfloat16* const* values, int count, int chunks, const Bfloat16* weights, int rows,
                         float* to, std::ptrdiff_t stride, const Fetch& fetch) {
  switch (rows) {
    case 1: return add<1>(values, count, chunks, weights, to, stride, fetch);
    case 2: return add<2>(values, count, chunks, weights, to, stride, fetch);
    case 3: return add<3>(values, count, chunks, weights, to, stride, fetch);
    default: return add<kRowsAtOnce>(values, count, chunks, weights, to, stride, fetch);
  }
}

POLARISCOPE_TARGET void round_to_bfloat16(const float* from, std::int64_t count, Bfloat16* to) {
  for (std::int64_t i = 0; i < count; i += kBfloat16Chunk) {
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_load_ps(from + i + 16), _mm512_load_ps(from + i));
    _mm512_store_si512(to + i, reinterpret_cast<__m512i>(both));
  }
}

#else

void bfloat16_score_keys(const Bfloat16* const*, int, int, const Bfloat16*, std::ptrdiff_t, int, float, float*,
                         const Fetch&) {}
void bfloat16_add_values(const Bfloat16* const*, int, int, const Bfloat16*, int, float*, std::ptrdiff_t, const Fetch&) {
}
void round_to_bfloat16(const float*, std::int64_t, Bfloat16*) {}

#endif

}  // namespace polariscope::attention
