// Rows of exponentials that are held whole, a few at a time: what weigh_column() does, with the same bits in fewer
// passes. Functions of their own, not inlined, so that the compiler keeps their sums in registers. Arrays of rows are
// [rows, keys], a vector of heads each; kMasked: hidden scores are minus infinity.

#if defined(POLARISCOPE_ATTENTION_SOFTMAX_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_SOFTMAX_ROWS_INL_H_
#undef POLARISCOPE_ATTENTION_SOFTMAX_ROWS_INL_H_
#else
#define POLARISCOPE_ATTENTION_SOFTMAX_ROWS_INL_H_
#endif

#include "polariscope/attention/internal/running-inl.h"
#include "polariscope/attention/internal/tile-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"
#include "polariscope/reweighting/exp-inl.h"

#include <algorithm>
#include <array>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <bool kMasked, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void summarise_rows(D d, T* scores, int rows, int keys, Summary<hn::Vec<D>>* summaries) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int r = 0; r < rows; ++r) summaries[r] = summary<kMasked>(d, Column<T>{scores + r * keys * lanes, lanes, keys});
}

// The numbers of a tile's keys, to be broadcast from memory.
template <class T>
inline constexpr std::array<T, kTileKeys> kKeyNumbers = [] {
  std::array<T, kTileKeys> numbers{};
  for (int j = 0; j < kTileKeys; ++j) numbers[j] = static_cast<T>(j);
  return numbers;
}();

// From scores to weights, which may take their place unless some are masked. first_shift: where the shift starts. held
// receives what the results need of each row: with kMeasure all but the squares and moments of the weights, else what
// costs nothing; its kSpoilt is added to.
template <bool kMasked, bool kMeasure, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void weigh_softmax_rows(D d, T* scores, T* weights, int rows, int keys,
                                     const Summary<hn::Vec<D>>* summaries, const hn::Vec<D>& first_shift,
                                     HeldRow<D>* held) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const V zero = hn::Zero(d), hidden = hn::Set(d, kHidden<T>);
  for (int r = 0; r < rows; ++r, scores += keys * lanes, weights += keys * lanes) {
    const V mean = summaries[r].mean, largest = summaries[r].largest;
    const V shift = hn::Max(first_shift, largest);
    held[r].add(kSpoilt, spoilt_of<kMasked>(d, Column<T>{scores, lanes, keys}, mean));
    V sum[kChains], log[kChains], logits[kChains], index = hn::Set(d, kTileKeys);
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) sum[k] = log[k] = logits[k] = zero;
    for_each_key(keys, [&](int j, int k) HWY_ATTR {
      const V z = hn::Load(d, scores + j * lanes);
      if constexpr (kMeasure) {
        const V apart = kept<kMasked>(d, z, hn::Sub(z, mean));
        logits[k] = hn::MulAdd(apart, apart, logits[k]);
        const V nearer = hn::Min(index, hn::Set(d, kKeyNumbers<T>[j]));
        index = hn::IfThenElse(hn::Eq(z, largest), nearer, index);
      }
      const V x = hn::Sub(z, shift);
      const V w = kept<kMasked>(d, z, exp_below(d, x));
      hn::Store(w, d, weights + j * lanes);
      sum[k] = hn::Add(sum[k], w);
      if constexpr (kMeasure) {
        log[k] = hn::MulAdd(kept<kMasked>(d, z, log_of_exponential(d, x)), w, log[k]);
      }
    });
    HeldRow<D>& row = held[r];
    row.set(kLogitMaximum, largest);
    row.set(kShift, shift);
    row.set(kSum, hn::Add(zero, total_of(sum)));
    row.set(kFirst, hn::Load(d, weights));
    row.set(kCount, summaries[r].count);
    if constexpr (kMeasure) {
      row.set(kLargestIndex, hn::IfThenElse(hn::Lt(hidden, largest), index, hn::Set(d, -1)));
      row.set(kLogitMean, mean);
      row.set(kLogitSquares, total_of(logits));
      row.set(kSumLog, hn::Add(zero, finite_logs(d, total_of(log), Column<T>{weights, lanes, keys})));
    }
  }
}

// The moments of the weights, from which Σ w² = Σ (w - mean)² + mean Σ w, a sum of what is never negative; and in the
// same pass the sums of the values, [keys, kValues], by weight.
template <bool kMasked, int kValues, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void measure_softmax_rows(D d, const T* scores, const T* weights, const T* value, int rows, int keys,
                                       HeldRow<D>* held, T* output) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int r = 0; r < rows; ++r, scores += keys * lanes, weights += keys * lanes, output += kValues * lanes) {
    const V mean = hn::Div(held[r].get(kSum), hn::Max(held[r].get(kCount), hn::Set(d, 1)));
    V squares[kChains], cubes[kChains], sum[std::max(kValues, 1)];
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) squares[k] = cubes[k] = hn::Zero(d);
#pragma GCC unroll 4
    for (int c = 0; c < kValues; ++c) sum[c] = hn::Zero(d);
    for_each_key(keys, [&](int j, int k) HWY_ATTR {
      const V w = hn::Load(d, weights + j * lanes);
      V apart = hn::Sub(w, mean);
      if constexpr (kMasked) apart = kept<true>(d, hn::Load(d, scores + j * lanes), apart);
      const V square = hn::Mul(apart, apart);
      squares[k] = hn::Add(squares[k], square);
      cubes[k] = hn::MulAdd(square, apart, cubes[k]);
#pragma GCC unroll 4
      for (int c = 0; c < kValues; ++c) {
        sum[c] = hn::MulAdd(w, hn::Load(d, value + (j * kValues + c) * lanes), sum[c]);
      }
    });
    const V second = total_of(squares);
    held[r].set(kSumSquares, hn::MulAdd(held[r].get(kSum), mean, second));
    held[r].set(kWeightMean, mean);
    held[r].set(kWeightSquares, second);
    held[r].set(kWeightCubes, total_of(cubes));
#pragma GCC unroll 4
    for (int c = 0; c < kValues; ++c) hn::Store(sum[c], d, output + c * lanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_SOFTMAX_ROWS_INL_H_
