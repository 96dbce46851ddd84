// From a tile's scores to its weights and their running sums. Exponentials are lowered by a running maximum,
// and what was summed before is taken down with it; other weights need neither.

#if defined(POLARISCOPE_ATTENTION_WEIGH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_WEIGH_INL_H_
#undef POLARISCOPE_ATTENTION_WEIGH_INL_H_
#else
#define POLARISCOPE_ATTENTION_WEIGH_INL_H_
#endif

#include "polariscope/attention/internal/lowered-inl.h"
#include "polariscope/attention/internal/tile-inl.h"
#include "polariscope/attention/internal/with_function-inl.h"
#include "polariscope/reweighting/exp-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// |w| log |w|, 0 where w = 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V times_log(D d, V size) {
  const V smallest = hn::Set(d, std::numeric_limits<hn::TFromD<D>>::min());
  return hn::Mul(size, hn::Log(d, hn::Max(size, smallest)));
}

// log w of a w = exp_below(x). A w that is no less than e^-87 belongs to an x that is none either.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_of_exponential(D d, V x) {
#if HWY_TARGET > HWY_AVX3
  if constexpr (sizeof(hn::TFromD<D>) == 4) return hn::Max(x, hn::Set(d, -87.0F));
#endif
  return x;
}

// Σ w log w, in place of a Σ w x with an x that is minus infinity, where scores lie further apart than the largest
// number.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE hn::Vec<D> sum_of_logs(D d, Column<T> weights) {
  hn::Vec<D> sum = hn::Zero(d);
  for (int j = 0; j < weights.keys; ++j) {
    sum = hn::Add(sum, times_log(d, hn::Load(d, weights.data + j * weights.stride)));
  }
  return sum;
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> finite_logs(D d, hn::Vec<D> sum, Column<T> weights) {
  const auto finite = hn::IsFinite(sum);
  return hn::AllTrue(d, finite) ? sum : hn::IfThenElse(finite, sum, sum_of_logs(d, weights));
}

// The first key of the tile whose score is `largest`, for the lanes in `where`.
template <class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void find_largest(D d, Column<T> scores, T key_0, hn::Vec<D> largest, hn::Mask<D> where, Row& row) {
  const hn::Vec<D> one = hn::Set(d, 1), before = row.get(kLargestIndex);
  hn::Vec<D> index = before, key = hn::Set(d, key_0 + static_cast<T>(scores.keys - 1));
#pragma GCC unroll 4
  for (int j = scores.keys - 1; j >= 0; --j) {
    index = hn::IfThenElse(hn::Eq(hn::Load(d, scores.data + j * scores.stride), largest), key, index);
    key = hn::Sub(key, one);
  }
  row.set(kLargestIndex, hn::IfThenElse(where, index, before));
}

// The moments of rows whose keys so far may be none. kWhole: they are none, and the tile holds all.
template <bool kMasked, bool kWhole, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void merge_logits(D d, Column<T> scores, const Summary<hn::Vec<D>>& tile, Row& row) {
  using V = hn::Vec<D>;
  V squares, none;
  central_sums<kMasked, false>(d, scores, scores.data, tile.mean, squares, none);
  Moments<V> all{tile.count, tile.mean, squares, none};
  if constexpr (!kWhole) {
    const Moments<V> before{row.get(kCount), row.get(kLogitMean), row.get(kLogitSquares), none};
    all = merged<false>(d, before, all);
  }
  row.set(kLogitMean, all.mean);
  row.set(kLogitSquares, all.squares);
}

template <bool kMasked, bool kWhole, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void merge_weights(D d, Column<T> weights, const T* scores, hn::Vec<D> count, hn::Vec<D> sum, Row& row) {
  using V = hn::Vec<D>;
  const V mean = hn::Div(sum, hn::Max(count, hn::Set(d, 1)));
  V squares, cubes;
  central_sums<kMasked, true>(d, weights, scores, mean, squares, cubes);
  Moments<V> all{count, mean, squares, cubes};
  if constexpr (!kWhole) {
    const Moments<V> before{row.get(kCount), row.get(kWeightMean), row.get(kWeightSquares), row.get(kWeightCubes)};
    all = merged<true>(d, before, all);
  }
  row.set(kWeightMean, all.mean);
  row.set(kWeightSquares, all.squares);
  row.set(kWeightCubes, all.cubes);
}

// Takes what was summed of exponentials down to a new maximum; kRescale says by what.
template <class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void lower_to(D d, hn::Vec<D> shift, Row& row) {
  using V = hn::Vec<D>;
  constexpr T kNothingLeft = -1e4;  // e to it is 0, and times a sum it is finite
  const V by = hn::Max(hn::Sub(row.get(kShift), shift), hn::Set(d, kNothingLeft));
  const V rescale = exp_below(d, by);
  const V square = hn::Mul(rescale, rescale);
  row.set(kShift, shift);
  row.set(kRescale, rescale);
  row.set(kSumLog, hn::Mul(rescale, hn::MulAdd(by, row.get(kSum), row.get(kSumLog))));
  row.set(kSum, hn::Mul(rescale, row.get(kSum)));
  row.set(kSumSquares, hn::Mul(square, row.get(kSumSquares)));
  row.set(kWeightMean, hn::Mul(rescale, row.get(kWeightMean)));
  row.set(kWeightSquares, hn::Mul(square, row.get(kWeightSquares)));
  row.set(kWeightCubes, hn::Mul(hn::Mul(square, rescale), row.get(kWeightCubes)));
}

// Σ (x - c), Σ (x - c)² and Σ (x - c)³ of a tile's numbers about the mean c of those before.
template <class V>
struct SumsAbout {
  V first, second, third;
};

// Mean and central sums of all `count` numbers, the tile's and those before. With as many before as in the tile the
// sums about their mean are at most twice the central ones; with one before, behind a window's edge, 65 times.
template <bool kCubes, class D, class V = hn::Vec<D>>
HWY_INLINE Moments<V> extended(D d, const Moments<V>& before, const SumsAbout<V>& tile, V count) {
  const V shift = hn::Div(tile.first, count);
  const V square = hn::Mul(shift, shift);
  const V second = hn::Add(before.squares, tile.second);
  Moments<V> all{count, hn::Add(before.mean, shift), hn::NegMulAdd(count, square, second), hn::Zero(d)};
  if constexpr (kCubes) {
    const V third = hn::NegMulAdd(hn::Mul(hn::Set(d, 3), shift), second, hn::Add(before.cubes, tile.third));
    all.cubes = hn::MulAdd(hn::Mul(hn::Set(d, 2), hn::Mul(count, square)), shift, third);
  }
  return all;
}

// The largest score of an unmasked tile, whose logits extend the row's moments: one pass where merge_logits() and
// summary() take two. Returns Σ (z - mean so far).
template <class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> extend_logits(D d, Column<T> scores, Row& row, hn::Vec<D>& most) {
  using V = hn::Vec<D>;
  const V centre = row.get(kLogitMean);
  V first[kChains], second[kChains], largest[kChains];
  for (int k = 0; k < kChains; ++k) {
    first[k] = second[k] = hn::Zero(d);
    largest[k] = hn::Set(d, kHidden<T>);
  }
  for_each_key(scores.keys, [&](int j, int k) HWY_ATTR {
    const V z = hn::Load(d, scores.data + j * scores.stride);
    const V apart = hn::Sub(z, centre);
    first[k] = hn::Add(first[k], apart);
    second[k] = hn::MulAdd(apart, apart, second[k]);
    largest[k] = hn::Max(largest[k], z);
  });
  most = hn::Max(hn::Max(largest[0], largest[1]), hn::Max(largest[2], largest[3]));
  const SumsAbout<V> sums{total_of(first), total_of(second), hn::Zero(d)};
  const Moments<V> before{row.get(kCount), centre, row.get(kLogitSquares), sums.third};
  const V count = hn::Add(before.count, hn::Set(d, static_cast<T>(scores.keys)));
  const Moments<V> all = extended<false>(d, before, sums, count);
  row.set(kLogitMean, all.mean);
  row.set(kLogitSquares, all.squares);
  return sums.first;
}

// w = e^{z - m}; adds Σ w and, if asked for, Σ w (z - m) and Σ w². With kExtend the weights of the tile, which is then
// unmasked, also extend the row's moments, in the same pass. Returns the tile's Σ w.
template <bool kMasked, bool kMeasure, bool kExtend, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> exponentials(D d, Column<T> scores, T* weights, Row& row) {
  using V = hn::Vec<D>;
  const V shift = row.get(kShift);
  const V centre = kExtend ? row.get(kWeightMean) : hn::Zero(d);
  V sum[kChains], log[kChains], squares[kChains], second[kChains], third[kChains];
  for (int k = 0; k < kChains; ++k) sum[k] = log[k] = squares[k] = second[k] = third[k] = hn::Zero(d);
  for_each_key(scores.keys, [&](int j, int k) HWY_ATTR {
    const V z = hn::Load(d, scores.data + j * scores.stride);
    const V x = hn::Sub(z, shift);
    const V w = kept<kMasked>(d, z, exp_below(d, x));
    hn::Store(w, d, weights + j * scores.stride);
    sum[k] = hn::Add(sum[k], w);
    if constexpr (kMeasure) {
      log[k] = hn::MulAdd(kept<kMasked>(d, z, log_of_exponential(d, x)), w, log[k]);
      squares[k] = hn::MulAdd(w, w, squares[k]);
    }
    if constexpr (kExtend) {
      const V apart = hn::Sub(w, centre);
      const V square = hn::Mul(apart, apart);
      second[k] = hn::Add(second[k], square);
      third[k] = hn::MulAdd(square, apart, third[k]);
    }
  });
  const V total = total_of(sum);
  row.add(kSum, total);
  if constexpr (kMeasure) {
    row.add(kSumLog, finite_logs(d, total_of(log), Column<T>{weights, scores.stride, scores.keys}));
    row.add(kSumSquares, total_of(squares));
  }
  if constexpr (kExtend) {
    const V keys = hn::Set(d, static_cast<T>(scores.keys));
    const SumsAbout<V> sums{hn::NegMulAdd(keys, centre, total), total_of(second), total_of(third)};
    const Moments<V> before{row.get(kCount), centre, row.get(kWeightSquares), row.get(kWeightCubes)};
    const Moments<V> all = extended<true>(d, before, sums, hn::Add(before.count, keys));
    row.set(kWeightMean, all.mean);
    row.set(kWeightSquares, all.squares);
    row.set(kWeightCubes, all.cubes);
  }
  return total;
}

// Adds what w(z) of every visible key adds to the running sums; `weights`, where not null, receives them.
template <bool kMasked, class Weight, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> measure(D d, Column<T> scores, const Weight& weight, T* weights, T key_0, const Wanted& wanted,
                              Row& row) {
  using V = hn::Vec<D>;
  V sum = hn::Zero(d), absolute = sum, log = sum, squares = sum;
  V largest = row.get(kLargest), index = row.get(kLargestIndex);
  for (int j = 0; j < scores.keys; ++j) {
    const V z = hn::Load(d, scores.data + j * scores.stride);
    const V w = kept<kMasked>(d, z, weight(z));
    if (weights != nullptr) hn::Store(w, d, weights + j * scores.stride);
    sum = hn::Add(sum, w);
    squares = hn::MulAdd(w, w, squares);
    const V size = hn::Abs(w);
    absolute = hn::Add(absolute, size);
    if (wanted.entropy) log = hn::Add(log, times_log(d, size));
    if (wanted.largest) {
      auto beyond = hn::Lt(largest, size);
      if constexpr (kMasked) beyond = hn::And(beyond, visible<true>(d, z));
      largest = hn::IfThenElse(beyond, size, largest);
      index = hn::IfThenElse(beyond, hn::Set(d, key_0 + static_cast<T>(j)), index);
    }
  }
  row.add(kSum, sum);
  row.add(kSumAbsolute, absolute);
  row.add(kSumLog, log);
  row.add(kSumSquares, squares);
  row.set(kLargest, largest);
  row.set(kLargestIndex, index);
  return sum;
}

// The shift of a row that a tile's largest score asks for, and where that score is. Returns whether earlier sums of
// the output must be taken by kRescale.
template <bool kWhole, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE bool raise_shift(D d, Column<T> scores, T key_0, hn::Vec<D> most, const Wanted& wanted, Row& row) {
  using V = hn::Vec<D>;
  if (!kWhole && key_0 == 0) row.set(kFirst, hn::Load(d, scores.data));
  const V shift = row.get(kShift);
  const auto higher = hn::Lt(row.get(kLargest), most);
  if constexpr (kWhole) {
    row.set(kShift, hn::Max(shift, most));
    if (wanted.largest) find_largest(d, scores, key_0, most, higher, row);
    return false;
  } else {
    if (wanted.largest && !hn::AllFalse(d, higher)) {
      find_largest(d, scores, key_0, most, higher, row);
      row.set(kLargest, hn::Max(row.get(kLargest), most));
    }
    const V peak = Row::kShared ? hn::MaxOfLanes(d, most) : most;
    // Weights may grow to e² before everything is taken down: most maxima after the first tile's are that near.
    const auto far = hn::Lt(hn::Add(shift, hn::Set(d, 2)), peak);
    if (hn::AllFalse(d, far)) return false;
    lower_to(d, hn::IfThenElse(far, peak, shift), row);
    return true;
  }
}

// A column of a tile: weights beside, sums added. kExtend: the tile is unmasked and every row has seen keys before.
// Which way a sum is taken depends on the keys alone, not on what else is wanted: a statistic has the same bits asked
// for alone. Returns as raise_shift().
template <class Function, bool kMasked, bool kWhole, bool kExtend, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE bool weigh_column(D d, Column<T> scores, T* weights, T key_0, const Wanted& wanted, Row& row) {
  using V = hn::Vec<D>;
  constexpr bool kExponential = kIsExponential<Function>;
  Summary<V> tile{hn::Set(d, static_cast<T>(scores.keys)), hn::Zero(d), hn::Zero(d)};
  if (kExtend && wanted.logit_moments) {
    tile.mean = extend_logits(d, scores, row, tile.largest);
  } else {
    tile = summary<kMasked>(d, scores);
    if (wanted.logit_moments) merge_logits<kMasked, kWhole>(d, scores, tile, row);
  }
  row.add(kSpoilt, spoilt_of<kMasked>(d, scores, tile.mean));
  row.set(kLogitMaximum, hn::Max(row.get(kLogitMaximum), tile.largest));

  const bool measured = wanted.entropy || wanted.squares;
  bool rescaled = false;
  V sum;
  if constexpr (kExponential) {
    rescaled = raise_shift<kWhole>(d, scores, key_0, tile.largest, wanted, row);
    if (kExtend && wanted.skewness) {
      measured ? exponentials<kMasked, true, kExtend>(d, scores, weights, row)
               : exponentials<kMasked, false, kExtend>(d, scores, weights, row);
      row.add(kCount, tile.count);
      return rescaled;
    }
    sum = measured ? exponentials<kMasked, true, false>(d, scores, weights, row)
                   : exponentials<kMasked, false, false>(d, scores, weights, row);
    if constexpr (kWhole) row.set(kFirst, hn::Load(d, weights));
  } else {
    const V by = lowering(d, row.get(kShift));
    const auto weight = [&](V z) HWY_ATTR { return lowered<Function>(d, z, by).weight; };
    sum = measure<kMasked>(d, scores, weight, weights, key_0, wanted, row);
    if (key_0 == 0) row.set(kFirst, hn::Load(d, weights));
  }
  if (wanted.skewness) {
    const Column<T> column{weights, scores.stride, scores.keys};
    merge_weights<kMasked, kWhole>(d, column, scores.data, tile.count, sum, row);
  }
  row.add(kCount, tile.count);
  return rescaled;
}

// Lanes whose scores are finite, but not the sums of their weights: those that are taken whatever is wanted.
template <class D, class Row>
HWY_INLINE hn::Mask<D> overflowed(D d, reweighting::WeightFunction function, const Row& row) {
  if (!is_unbounded(function)) return hn::Lt(hn::Zero(d), hn::Zero(d));
  const auto finite = hn::And(hn::IsFinite(row.get(kSumAbsolute)), hn::IsFinite(row.get(kSumSquares)));
  return hn::AndNot(finite, hn::Eq(row.get(kSpoilt), hn::Zero(d)));
}

// The largest size of a column's weights, and of those before.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE hn::Vec<D> largest_size(D d, reweighting::WeightFunction function, Column<T> scores, hn::Vec<D> largest) {
  with_function(function, [&]<class Function>() HWY_ATTR {
    for (int j = 0; j < scores.keys; ++j) {
      const hn::Vec<D> z = hn::Load(d, scores.data + j * scores.stride);
      largest = hn::Max(largest, kept<true>(d, z, size_of<Function>(d, z)));
    }
  });
  return largest;
}

// The same for one tile of several; not inlined, for the sake of the products between which it stands.
template <class Function, bool kMasked, class D, class Row, class T = hn::TFromD<D>>
HWY_NOINLINE bool weigh(D d, Column<T> scores, T* weights, T key_0, const Wanted& wanted, Row row) {
  if constexpr (!kMasked && kIsExponential<Function>) {
    if (hn::AllTrue(d, hn::Gt(row.get(kCount), hn::Zero(d)))) {
      return weigh_column<Function, kMasked, false, true>(d, scores, weights, key_0, wanted, row);
    }
  }
  return weigh_column<Function, kMasked, false, false>(d, scores, weights, key_0, wanted, row);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_WEIGH_INL_H_
