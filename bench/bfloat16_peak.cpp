#include "bench/fma_peak.h"
#include "bench/measure.h"

#if defined(__x86_64__) && (__GNUC__ >= 11 || defined(__clang__))
#include <immintrin.h>
#endif

namespace polariscope::bench {

#if defined(__x86_64__) && (__GNUC__ >= 11 || defined(__clang__))
namespace {

// Twelve independent sums, as fma_peak().
__attribute__((target("avx512f,avx512bf16"))) double rounds_of_dots(int rounds, float* sink) {
  constexpr int kSums = 12;
  const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3F), _mm512_set1_ps(1e-3F));
  __m512 sums[kSums];
  for (int k = 0; k < kSums; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(k));
  for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, x, x);
  }
  __m512 all = sums[0];
  for (int k = 1; k < kSums; ++k) all = _mm512_add_ps(all, sums[k]);
  float lanes[16];
  _mm512_storeu_ps(lanes, all);
  *sink = lanes[0];
  return 2.0 * 2.0 * 16.0 * kSums * rounds;
}

}  // namespace

double bfloat16_peak() {
  if (__builtin_cpu_supports("avx512bf16") == 0) return 0.0;
  constexpr int kRounds = 2'000'000;
  float sink = 0.0F;
  double operations = 0.0;
  const double seconds = processor_seconds_of([&] { operations = rounds_of_dots(kRounds, &sink); });
  // Never true: the sums are positive. The compiler does not know.
  return sink < 0.0F ? 0.0 : operations / seconds;
}
#else
double bfloat16_peak() { return 0.0; }
#endif

}  // namespace polariscope::bench
