#include "polariscope/attention/internal/bfloat16.h"

#include "polariscope/attention/internal/kernels.h"
#include "polariscope/base/parallel.h"

#if defined(__x86_64__) && (__GNUC__ >= 11 || defined(__clang__))
#define POLARISCOPE_BFLOAT16 1
#include <immintrin.h>
#define POLARISCOPE_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#else
#define POLARISCOPE_BFLOAT16 0
#endif

namespace polariscope::attention {
bool takes_bfloat16(const AttentionInput<float>& input) {
  return input.bfloat16 && input.form.feature == reweighting::FeatureMap::kNone &&
         input.form.rule == reweighting::RowRule::kElementwise && has_bfloat16_kernel();
}

std::unique_ptr<const Bfloat16Keys> bfloat16_keys(const AttentionInput<float>& input, int threads) {
  return takes_bfloat16(input) ? std::make_unique<const Bfloat16Keys>(input, threads) : nullptr;
}

#if POLARISCOPE_BFLOAT16

bool has_bfloat16_kernel() {
  static const bool kPresent = __builtin_cpu_supports("avx512bf16") != 0;
  return kPresent && attention_lanes<float>() == 16;
}

namespace {

// The numbers of `low` and `high`, one beside the other.
POLARISCOPE_TARGET inline __m512i paired(__m512 low, __m512 high) {
  const __m512i beside = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                          21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(beside, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
}

// Row `low` beside row `high`, number by number; zeros beside it where there is no `high`.
POLARISCOPE_TARGET void pair_rows(const float* low, const float* high, std::int64_t width, Bfloat16Pair* to) {
  for (std::int64_t i = 0; i < width; i += 16) {
    const __mmask16 there = static_cast<__mmask16>(width - i >= 16 ? 0xffff : (1 << (width - i)) - 1);
    const __m512 above = high == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(there, high + i);
    _mm512_mask_storeu_epi32(to + i, there, paired(_mm512_maskz_loadu_ps(there, low + i), above));
  }
}

// A row's numbers in pairs, with a zero beside an odd last one.
POLARISCOPE_TARGET void pair_numbers(const float* row, std::int64_t width, Bfloat16Pair* to) {
  const auto mask_of = [](std::int64_t left) {
    return static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
  };
  for (std::int64_t i = 0; i < width; i += 32) {
    const __m512 first = _mm512_maskz_loadu_ps(mask_of(width - i), row + i);
    const __m512 second =
        width - i > 16 ? _mm512_maskz_loadu_ps(mask_of(width - i - 16), row + i + 16) : _mm512_setzero_ps();
    _mm512_mask_storeu_epi32(to + i / 2, mask_of((width - i + 1) / 2),
                             reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
  }
}

// kRows rows and kVectors vectors of C (= scale · or +=) Σ_s A(r, s) B[s].
template <bool kAdd, int kRows, int kVectors>
POLARISCOPE_TARGET inline void block(const Bfloat16Pair* a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, int steps,
                                     const float* b, float scale, float* c, std::ptrdiff_t width) {
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) sum[r][v] = kAdd ? _mm512_load_ps(c + r * width + 16 * v) : _mm512_setzero_ps();
  }
  for (int s = 0; s < steps; ++s, a += a_step, b += width) {
    __m512bh row[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) row[v] = reinterpret_cast<__m512bh>(_mm512_load_ps(b + 16 * v));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto one = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a[r * a_row])));
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], one, row[v]);
    }
  }
  const __m512 by = _mm512_set1_ps(scale);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_ps(c + r * width + 16 * v, kAdd ? sum[r][v] : _mm512_mul_ps(sum[r][v], by));
    }
  }
}

template <bool kAdd, int kVectors>
POLARISCOPE_TARGET void columns(const Bfloat16Pair* a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, int rows, int steps,
                                const float* b, float scale, float* c) {
  constexpr std::ptrdiff_t kWidth = 16 * kVectors;
  int r = 0;
  for (; r + 8 <= rows; r += 8) {
    block<kAdd, 8, kVectors>(a + r * a_row, a_row, a_step, steps, b, scale, c + r * kWidth, kWidth);
  }
  for (; r < rows; ++r) {
    block<kAdd, 1, kVectors>(a + r * a_row, a_row, a_step, steps, b, scale, c + r * kWidth, kWidth);
  }
}

template <bool kAdd>
void product(const Bfloat16Pair* a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, int rows, int steps, const float* b,
             float scale, float* c, int vectors) {
  if (vectors == 3) return columns<kAdd, 3>(a, a_row, a_step, rows, steps, b, scale, c);
  if (vectors == 2) return columns<kAdd, 2>(a, a_row, a_step, rows, steps, b, scale, c);
  columns<kAdd, 1>(a, a_row, a_step, rows, steps, b, scale, c);
}

}  // namespace

Bfloat16Keys::Bfloat16Keys(const AttentionInput<float>& input, int threads)
    : heads_(input.shape.key_heads),
      count_(input.shape.keys),
      key_pairs_((input.shape.keys + 1) / 2),
      value_width_(input.shape.value_width),
      width_pairs_(static_cast<int>((input.shape.width + 1) / 2)),
      keys_(input.shape.batch * heads_ * count_ * width_pairs_),
      values_(input.shape.batch * heads_ * key_pairs_ * value_width_) {
  parallel_for(input.shape.batch * heads_ * key_pairs_, threads, [&](std::int64_t item) {
    const std::int64_t batch = item / key_pairs_ / heads_, head = item / key_pairs_ % heads_,
                       first = item % key_pairs_ * 2;
    const bool both = first + 1 < count_;
    for (std::int64_t key = first; key < first + 1 + (both ? 1 : 0); ++key) {
      pair_numbers(input.key.row(batch, head, key), input.shape.width,
                   keys_.data() + ((batch * heads_ + head) * count_ + key) * width_pairs_);
    }
    pair_rows(input.value.row(batch, head, first), both ? input.value.row(batch, head, first + 1) : nullptr,
              value_width_, values_.data() + ((batch * heads_ + head) * key_pairs_ + first / 2) * value_width_);
  });
}

POLARISCOPE_TARGET void pack_rows(float* rows, int count, int vectors) {
  const std::ptrdiff_t width = 16 * vectors;
  for (int s = 0; s < count; s += 2) {
    for (int v = 0; v < vectors; ++v) {
      const float* from = rows + s * width + 16 * v;
      const __m512 high = s + 1 < count ? _mm512_load_ps(from + width) : _mm512_setzero_ps();
      _mm512_store_si512(rows + s / 2 * width + 16 * v, paired(_mm512_load_ps(from), high));
    }
  }
}

void bfloat16_scores(const Bfloat16Pair* keys, int count, int pairs, const float* queries, float scale, float* to,
                     int vectors) {
  product<false>(keys, pairs, 1, count, pairs, queries, scale, to, vectors);
}

void bfloat16_add_values(const Bfloat16Pair* values, int width, int pairs, const float* weights, float* to,
                         int vectors) {
  product<true>(values, 1, width, width, pairs, weights, 1.0F, to, vectors);
}

#else

bool has_bfloat16_kernel() { return false; }
Bfloat16Keys::Bfloat16Keys(const AttentionInput<float>&, int) {}
void pack_rows(float*, int, int) {}
void bfloat16_scores(const Bfloat16Pair*, int, int, const float*, float, float*, int) {}
void bfloat16_add_values(const Bfloat16Pair*, int, int, const float*, float*, int) {}

#endif

}  // namespace polariscope::attention
