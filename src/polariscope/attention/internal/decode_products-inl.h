// The products of few rows with many keys. Lanes run along the width, so that a row of keys or values is read once,
// from wherever it lies, for all rows that want it.

#if defined(POLARISCOPE_ATTENTION_DECODE_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_DECODE_PRODUCTS_INL_H_
#undef POLARISCOPE_ATTENTION_DECODE_PRODUCTS_INL_H_
#else
#define POLARISCOPE_ATTENTION_DECODE_PRODUCTS_INL_H_
#endif

#include "polariscope/attention/internal/decode.h"

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows that share a key in registers: with four keys at a time, as many sums as there is room for.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int kRowsAtOnce = 4;
#else
inline constexpr int kRowsAtOnce = 2;
#endif
inline constexpr int kVectorsAtOnce = 4;  // of a row of the output

using FloatLanes = hn::ScalableTag<float>;

// Calls run.template operator()<n>() for a number n of rows that share a key.
template <class Run>
HWY_INLINE void with_rows(int rows, const Run& run) {
  if constexpr (kRowsAtOnce == 4) {
    if (rows >= 4) return run.template operator()<4>();
    if (rows == 3) return run.template operator()<3>();
  }
  if (rows >= 2) return run.template operator()<2>();
  run.template operator()<1>();
}

// The line of a row's number `at`, into the second-level cache: the first would lose what is multiplied now.
HWY_INLINE void fetch_line(const Fetch& fetch, int row, std::ptrdiff_t at) {
  if (fetch.rows == nullptr) return;
  __builtin_prefetch(static_cast<const char*>(fetch.rows[row]) + at * fetch.bytes, 0, 2);
}

#if HWY_TARGET != HWY_SCALAR
// to[0..4) = the sum over each 128 bits' first lanes, second lanes, ...
template <class D>
HWY_INLINE void store_folded(D d, hn::Vec<D> v, float* to) {
  if constexpr (hn::MaxLanes(d) == 4) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    store_folded(half, hn::Add(hn::UpperHalf(half, v), hn::LowerHalf(half, v)), to);
  }
}

#endif

// to[n] = the sum of all lanes of v[n].
template <class D, class V = hn::Vec<D>>
HWY_INLINE void store_sums(D d, const V (&v)[kDecodeKeysAtOnce], float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int n = 0; n < kDecodeKeysAtOnce; ++n) hn::Store(v[n], d, to + n);
#else
  const hn::Repartition<double, D> wide;
  const auto pairs = [&](V a, V b) HWY_ATTR {
    return hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
  const auto first = pairs(v[0], v[1]), second = pairs(v[2], v[3]);
  store_folded(d,
               hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, first, second)),
                       hn::BitCast(d, hn::InterleaveUpper(wide, first, second))),
               to);
#endif
}

// to[r * kDecodeKeys + j] = q_r · k_j of kRows rows and the keys [0, count), a multiple of kDecodeKeysAtOnce. queries:
// whole vectors, `stride` apart.
template <int kRows>
HWY_NOINLINE void score_keys(const float* const* keys, int count, int vectors, const float* queries,
                             std::ptrdiff_t stride, float* to, const Fetch& fetch) {
  using V = hn::Vec<FloatLanes>;
  const FloatLanes d;
  const std::ptrdiff_t numbers = vectors * static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int j = 0; j < count; j += kDecodeKeysAtOnce) {
    V sum[kRows][kDecodeKeysAtOnce];
    const float* row[kDecodeKeysAtOnce];
#pragma GCC unroll 4
    for (int k = 0; k < kDecodeKeysAtOnce; ++k) {
      row[k] = keys[j + k];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][k] = hn::Zero(d);
    }
#pragma GCC unroll 2
    for (std::ptrdiff_t i = 0; i < numbers; i += static_cast<std::ptrdiff_t>(hn::Lanes(d))) {
      V key[kDecodeKeysAtOnce];
#pragma GCC unroll 4
      for (int k = 0; k < kDecodeKeysAtOnce; ++k) {
        fetch_line(fetch, j + k, i);
        key[k] = hn::LoadU(d, row[k] + i);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const V query = hn::Load(d, queries + r * stride + i);
#pragma GCC unroll 4
        for (int k = 0; k < kDecodeKeysAtOnce; ++k) sum[r][k] = hn::MulAdd(query, key[k], sum[r][k]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) store_sums(d, sum[r], to + r * kDecodeKeys + j);
  }
}

// kVectors vectors, from number `at` on, of kRows rows of the output: to_r += Σ_j weights[r * kDecodeKeys + j] v_j.
template <int kRows, int kVectors>
HWY_NOINLINE void add_keys_of_vectors(const float* const* values, int count, std::ptrdiff_t at, const float* weights,
                                      float* to, std::ptrdiff_t stride, const Fetch& fetch) {
  using V = hn::Vec<FloatLanes>;
  const FloatLanes d;
  const auto lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  V sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Load(d, to + r * stride + at + v * lanes);
  }
  for (int j = 0; j < count; ++j) {
    V value[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      fetch_line(fetch, j, at + v * lanes);
      value[v] = hn::LoadU(d, values[j] + at + v * lanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const V weight = hn::Set(d, weights[r * kDecodeKeys + j]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) hn::Store(sum[r][v], d, to + r * stride + at + v * lanes);
  }
}

// The same of all vectors. to: [kRows, stride].
template <int kRows>
void add_values(const float* const* values, int count, int vectors, const float* weights, float* to,
                std::ptrdiff_t stride, const Fetch& fetch) {
  const auto lanes = static_cast<std::ptrdiff_t>(hn::Lanes(FloatLanes()));
  int v = 0;
  for (; v + kVectorsAtOnce <= vectors; v += kVectorsAtOnce) {
    add_keys_of_vectors<kRows, kVectorsAtOnce>(values, count, v * lanes, weights, to, stride, fetch);
  }
  for (; v < vectors; ++v) {
    add_keys_of_vectors<kRows, 1>(values, count, v * lanes, weights, to, stride, fetch);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_DECODE_PRODUCTS_INL_H_
