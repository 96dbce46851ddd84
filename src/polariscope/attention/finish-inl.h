// The beginning and the end of a block's rows: sums at zero; sums to output and statistics.

#if defined(POLARISCOPE_ATTENTION_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_FINISH_INL_H_
#undef POLARISCOPE_ATTENTION_FINISH_INL_H_
#else
#define POLARISCOPE_ATTENTION_FINISH_INL_H_
#endif

#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class T>
bool has_sink(const AttentionInput<T>& in) {
  return in.form.normaliser == reweighting::Normaliser::kSumAndSink;
}
template <class T>
T sink_score(const AttentionInput<T>& in, std::int64_t head) {
  return in.sink != nullptr ? in.sink[head] : T(0);
}

// shift: where the maximum of exponentials starts: at a sink's score, so that its own exponential cannot overflow.
template <class Function, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void clear_row(D d, Row& row, hn::Vec<D> shift) {
  constexpr bool kExponential = Function::kFunction == reweighting::WeightFunction::kExp;
  for (int q = 0; q < kQuantities; ++q) row.set(static_cast<Quantity>(q), hn::Zero(d));
  row.set(kLogitMaximum, hn::Set(d, kLowest<T>));
  row.set(kLargest, hn::Set(d, kExponential ? kLowest<T> : T(-1)));
  row.set(kLargestIndex, hn::Set(d, -1));
  if constexpr (kExponential) {
    row.set(kShift, shift);
    row.set(kFirst, hn::Set(d, kHidden<T>));
  }
}

template <class Function, class T>
void clear_running(const AttentionInput<T>& in, const QueryBlock& block, const BlockWorkspace<T>& work) {
  using D = hn::ScalableTag<T>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const hn::Vec<D> shift = hn::Set(d, has_sink(in) ? sink_score(in, block.head) : kLowest<T>);
  for (int c = 0; c < block.vectors; ++c) {
    const Running<D> row(work.running + c * lanes, block.vectors * lanes);
    clear_row<Function>(d, row, shift);
  }
}

// The scale of a row's weights, p = w · inverse, in the units of the running sums. sink: its score, a lane each.
template <class Function, class T, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> inverse_of(const reweighting::AttentionForm& form, hn::Vec<D> sink, hn::Vec<D> sum,
                                 hn::Vec<D> shift, hn::Vec<D> count) {
  using V = hn::Vec<D>;
  const D d;
  const V one = hn::Set(d, 1);
  V total = sum;
  switch (form.normaliser) {
    case reweighting::Normaliser::kNone: return one;
    case reweighting::Normaliser::kMax1: return hn::Div(one, hn::Max(one, hn::Abs(sum)));
    case reweighting::Normaliser::kCount: {
      const V power = hn::Set(d, static_cast<T>(-form.count_power));
      return hn::Exp(d, hn::Mul(power, hn::Log(d, hn::Max(count, one))));
    }
    case reweighting::Normaliser::kSumAndSink:
      total = hn::Add(total, Function::weight(SimdMath<D>(), hn::Sub(sink, shift)));
      break;
    case reweighting::Normaliser::kSum:
      if constexpr (Function::kFunction != reweighting::WeightFunction::kExp) {
        total = hn::Add(total, hn::Set(d, static_cast<T>(form.sum_offset)));
      }
      break;
  }
  const V smallest = hn::Set(d, std::numeric_limits<T>::min());
  return hn::IfThenElseZero(hn::Ge(hn::Abs(total), smallest), hn::Div(one, total));
}

// Turns the running sums of a vector of rows into what `out` has arrays for, and calls visit(array, values) with
// each, the values being those of the rows as numbers of type T. Returns 1/n, NaN for a spoilt row.
template <class Function, class T, class Row, class Visit, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> visit_results(const AttentionInput<T>& in, const AttentionOutput<T>& out, const Row& row,
                                    hn::Vec<D> sink, const Visit& visit) {
  using V = hn::Vec<D>;
  constexpr bool kExponential = Function::kFunction == reweighting::WeightFunction::kExp;
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const RowStatistics<T>& to = out.statistics;
  const V spoilt = row.get(kSpoilt);
  const V shift = row.get(kShift);
  const V keys = row.get(kCount);
  const V sum = row.get(kSum);
  const auto empty = hn::Eq(keys, zero);
  // Nothing but the sink has weight in a row without visible keys.
  const auto weightless = hn::Eq(keys, has_sink(in) ? hn::Set(d, -1) : zero);
  const V scale = inverse_of<Function, T>(in.form, sink, sum, shift, keys);
  const V inverse = hn::Add(hn::IfThenElse(weightless, zero, scale), spoilt);

  const auto store = [&](T* array, V value) HWY_ATTR {
    if (array != nullptr) visit(array, hn::Add(hn::IfThenElse(empty, zero, value), spoilt));
  };
  const V per_key = hn::Div(one, hn::Max(keys, one));
  const V absolute = kExponential ? sum : row.get(kSumAbsolute);
  V log_mass = zero;
  if (to.entropy != nullptr || to.log_sum_exp != nullptr) {
    log_mass = hn::Log(d, hn::Max(absolute, hn::Set(d, std::numeric_limits<T>::min())));
  }
  if (to.entropy != nullptr) {
    const V entropy = hn::Sub(log_mass, hn::Div(row.get(kSumLog), absolute));
    // Rounding may take the entropy of a single key just below zero.
    store(to.entropy, hn::IfThenElseZero(hn::Gt(absolute, zero), hn::Max(entropy, zero)));
  }
  store(to.sum_of_squares, hn::Mul(hn::Mul(row.get(kSumSquares), inverse), inverse));
  if (to.maximum != nullptr) {
    V largest = row.get(kLargest);
    if constexpr (kExponential) largest = exp_below(d, hn::Sub(row.get(kLogitMaximum), shift));
    store(to.maximum, hn::Mul(hn::Max(largest, zero), hn::Abs(inverse)));
  }
  if (to.argmax != nullptr) {
    const auto none = hn::Or(empty, hn::IsNaN(spoilt));
    visit(to.argmax, hn::IfThenElse(none, hn::Set(d, -1), row.get(kLargestIndex)));
  }
  if (to.first_key != nullptr) {
    V first = row.get(kFirst);
    if constexpr (kExponential) first = kept<true>(d, first, exp_below(d, hn::Sub(first, shift)));
    store(to.first_key, hn::Mul(first, inverse));
  }
  store(to.row_sum, kExponential ? hn::Mul(sum, inverse) : sum);
  if (to.log_sum_exp != nullptr) {
    // Without a visible key: minus infinity, or the sink's score, which is then the shift.
    const V none = has_sink(in) ? shift : hn::Set(d, kHidden<T>);
    const V log = has_sink(in) ? hn::Neg(hn::Log(d, inverse)) : log_mass;
    const V lse = kExponential ? hn::IfThenElse(empty, none, hn::Add(shift, log))
                               : hn::Set(d, std::numeric_limits<T>::quiet_NaN());
    visit(to.log_sum_exp, hn::Add(lse, spoilt));
  }
  store(to.logit_mean, row.get(kLogitMean));
  store(to.logit_variance, hn::Mul(row.get(kLogitSquares), per_key));
  store(to.logit_maximum, row.get(kLogitMaximum));
  if (to.skewness != nullptr) {
    // What rounding leaves of weights that are all equal is no variance: their mean is a sum of half a tile at a time.
    constexpr int kHalfTile = kTileKeys / 2;
    const V rounding = hn::Mul(hn::Set(d, kHalfTile * std::numeric_limits<T>::epsilon()), row.get(kWeightMean));
    const V variance = hn::Mul(row.get(kWeightSquares), per_key);
    const V cube = hn::Mul(row.get(kWeightCubes), per_key);
    const V skewness = hn::Div(cube, hn::Mul(variance, hn::Sqrt(variance)));
    // A negative normaliser turns the weights round.
    store(to.skewness, hn::IfThenElseZero(hn::Gt(variance, hn::Mul(rounding, rounding)),
                                          hn::CopySign(skewness, hn::Mul(skewness, inverse))));
  }
  if (to.visible != nullptr) visit(to.visible, keys);
  if (to.non_finite != nullptr) visit(to.non_finite, hn::IfThenElseZero(hn::IsNaN(spoilt), one));
  if (out.shift != nullptr) visit(out.shift, hn::IfThenElse(weightless, zero, shift));
  if (out.inverse != nullptr) visit(out.inverse, inverse);
  store(out.mass, absolute);
  return inverse;
}

// Writes the rows of a block whose lanes are queries.
template <class Function, class T>
void finish(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
            const Scores<T>& scores, const BlockWorkspace<T>& work) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const std::int64_t row_0 = (block.batch * in.shape.heads + block.head) * in.shape.queries + block.first;
  const V sink = hn::Set(d, sink_score(in, block.head));
  for (int c = 0; c < block.vectors; ++c) {
    const int count = std::min(lanes, block.count - c * lanes);
    const std::int64_t at = row_0 + c * lanes;
    const auto store = [&]<class Number>(Number* array, V values) HWY_ATTR {
      if constexpr (std::is_same_v<Number, T>) {
        if (count == lanes) return hn::StoreU(values, d, array + at);
      }
      HWY_ALIGN T buffer[hn::MaxLanes(D())];
      hn::Store(values, d, buffer);
      for (int q = 0; q < count; ++q) array[at + q] = static_cast<Number>(buffer[q]);
    };
    const V inverse = visit_results<Function>(in, out, scores.running(c), sink, store);
    T* rows[hn::MaxLanes(D())];
    for (int q = 0; q < count; ++q) {
      rows[q] = out.output.row(block.batch, block.head, block.first + c * lanes + q);
    }
    const auto scaled = [&](V o) HWY_ATTR { return hn::Mul(o, inverse); };
    lanes_to_rows(d, work.output + c * lanes, scores.width(), static_cast<int>(in.shape.value_width), rows, count,
                  scaled);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FINISH_INL_H_
