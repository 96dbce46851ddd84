// The beginning and the end of a block's rows: sums at zero; sums to output and statistics.

#if defined(POLARISCOPE_ATTENTION_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_FINISH_INL_H_
#undef POLARISCOPE_ATTENTION_FINISH_INL_H_
#else
#define POLARISCOPE_ATTENTION_FINISH_INL_H_
#endif

#include "polariscope/attention/internal/first_visible-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"
#include "polariscope/attention/internal/with_function-inl.h"

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
template <bool kExponential, class D, class Row, class T = hn::TFromD<D>>
HWY_INLINE void clear_row(D d, Row& row, hn::Vec<D> shift) {
  // Unrolled early, lest a row that is held in registers be cleared in memory.
#pragma GCC unroll 32
  for (int q = 0; q < kQuantities; ++q) row.set(static_cast<Quantity>(q), hn::Zero(d));
  row.set(kLogitMaximum, hn::Set(d, kHidden<T>));
  row.set(kLargest, hn::Set(d, kExponential ? kHidden<T> : T(-1)));
  row.set(kLargestIndex, hn::Set(d, -1));
  if constexpr (kExponential) {
    row.set(kShift, shift);
    row.set(kFirst, hn::Set(d, kHidden<T>));
  }
}

template <bool kExponential, class T>
void clear_running(const AttentionInput<T>& in, const QueryBlock& block, const BlockWorkspace<T>& work) {
  using D = hn::ScalableTag<T>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const hn::Vec<D> shift = hn::Set(d, has_sink(in) ? sink_score(in, block.head) : kLowest<T>);
  for (int c = 0; c < block.vectors; ++c) {
    const Running<D> row(work.running + c * lanes, block.vectors * lanes);
    clear_row<kExponential>(d, row, shift);
  }
}

// lowered() of a function that is known by name.
template <class D, class V = hn::Vec<D>>
HWY_NOINLINE LoweredWeight<V> lowered_weight(D d, reweighting::WeightFunction function, V z, V by) {
  return with_function(function, [&]<class Function>() HWY_ATTR { return lowered<Function>(d, z, by); });
}

// The scale of a row's weights, p = w · inverse, in the units of the running sums. shift: what lowers them. sink: its
// score, a lane each.
template <bool kExponential, class T, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> inverse_of(const reweighting::AttentionForm& form, hn::Vec<D> sink, hn::Vec<D> sum,
                                 hn::Vec<D> shift, hn::Vec<D> count) {
  using V = hn::Vec<D>;
  const D d;
  const V one = hn::Set(d, 1), unit = kExponential ? one : unit_of(d, form.weight, shift);
  V total = sum;
  switch (form.normaliser) {
    case reweighting::Normaliser::kNone: return hn::Div(one, unit);
    case reweighting::Normaliser::kMax1: return hn::Div(one, hn::Max(unit, hn::Abs(sum)));
    case reweighting::Normaliser::kCount: {
      const V power = hn::Set(d, static_cast<T>(-form.count_power));
      return hn::Div(hn::Exp(d, hn::Mul(power, hn::Log(d, hn::Max(count, one)))), unit);
    }
    case reweighting::Normaliser::kSumAndSink:
      if constexpr (kExponential) {
        total = hn::Add(total, ExpFunction::weight(SimdMath<D>(), hn::Sub(sink, shift)));
      } else {
        total = hn::Add(total, lowered_weight(d, form.weight, sink, lowering(d, shift)).weight);
      }
      break;
    case reweighting::Normaliser::kSum:
      if constexpr (!kExponential) {
        total = hn::Add(total, hn::Mul(hn::Set(d, static_cast<T>(form.sum_offset)), unit));
      }
      break;
  }
  const V smallest = hn::Set(d, std::numeric_limits<T>::min());
  return hn::IfThenElseZero(hn::Ge(hn::Abs(total), smallest), hn::Div(one, total));
}

// Turns the running sums of kRows vectors of rows into what `out` has arrays for, and calls visit(array, values) with
// each, the values being those of the rows as numbers of type T. inverse receives 1/n, NaN for a spoilt row. Rows go
// through each statistic side by side: one alone would wait for each of its divisions.
template <bool kExponential, class T, int kRows, class Row, class Visit, class D = hn::ScalableTag<T>>
HWY_INLINE void visit_results(const AttentionInput<T>& in, const AttentionOutput<T>& out, const Row (&rows)[kRows],
                              hn::Vec<D> sink, hn::Vec<D> (&inverse)[kRows], const Visit& visit) {
  using V = hn::Vec<D>;
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const V smallest = hn::Set(d, std::numeric_limits<T>::min());
  const RowStatistics<T>& to = out.statistics;

  const auto count = [&](int r) HWY_ATTR { return rows[r].get(kCount); };
  // Nothing but the sink has weight in a row without visible keys.
  const auto weightless = [&](int r) HWY_ATTR { return hn::Eq(count(r), has_sink(in) ? hn::Set(d, -1) : zero); };
  const auto absolute = [&](int r) HWY_ATTR { return rows[r].get(kExponential ? kSum : kSumAbsolute); };
  V filled[kRows], per_key[kRows], log_mass[kRows];  // filled: all bits, or none for a row without visible keys
  const bool logarithm = to.entropy != nullptr || to.log_sum_exp != nullptr;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const V scale = inverse_of<kExponential, T>(in.form, sink, rows[r].get(kSum), rows[r].get(kShift), count(r));
    inverse[r] = hn::Add(hn::IfThenElse(weightless(r), zero, scale), rows[r].get(kSpoilt));
    filled[r] = hn::VecFromMask(d, hn::Ne(count(r), zero));
    per_key[r] = hn::Div(one, hn::Max(count(r), one));
    log_mass[r] = logarithm ? hn::Log(d, hn::Max(absolute(r), smallest)) : zero;
  }

  const auto give = [&](auto* array, const auto& value) HWY_ATTR {
    if (array == nullptr) return;
    V values[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) values[r] = value(r);
    visit(array, values);
  };
  const auto store = [&](T* array, const auto& value) HWY_ATTR {
    give(array, [&](int r) HWY_ATTR { return hn::Add(hn::And(filled[r], value(r)), rows[r].get(kSpoilt)); });
  };
  store(to.entropy, [&](int r) HWY_ATTR {
    const V entropy = hn::Sub(log_mass[r], hn::Div(rows[r].get(kSumLog), absolute(r)));
    // Rounding may take the entropy of a single key just below zero.
    return hn::IfThenElseZero(hn::Gt(absolute(r), zero), hn::Max(entropy, zero));
  });
  store(to.sum_of_squares,
        [&](int r) HWY_ATTR { return hn::Mul(hn::Mul(rows[r].get(kSumSquares), inverse[r]), inverse[r]); });
  store(to.maximum, [&](int r) HWY_ATTR {
    V largest = rows[r].get(kLargest);
    if constexpr (kExponential) {
      const V below = hn::Sub(rows[r].get(kLogitMaximum), rows[r].get(kShift));
      largest = hn::AllTrue(d, hn::Eq(below, zero)) ? one : exp_below(d, below);
    }
    return hn::Mul(hn::Max(largest, zero), hn::Abs(inverse[r]));
  });
  give(to.argmax, [&](int r) HWY_ATTR {
    const auto none = hn::Or(hn::Eq(count(r), zero), hn::IsNaN(rows[r].get(kSpoilt)));
    return hn::IfThenElse(none, hn::Set(d, -1), rows[r].get(kLargestIndex));
  });
  store(to.first_key, [&](int r) HWY_ATTR {
    V first = rows[r].get(kFirst);
    if constexpr (kExponential && !Row::kWhole) {
      first = kept<true>(d, first, exp_below(d, hn::Sub(first, rows[r].get(kShift))));
    }
    return hn::Mul(first, inverse[r]);
  });
  store(to.row_sum, [&](int r) HWY_ATTR {
    const V sum = rows[r].get(kSum);
    return kExponential ? hn::Mul(sum, inverse[r]) : hn::Div(sum, unit_of(d, in.form.weight, rows[r].get(kShift)));
  });
  give(to.log_sum_exp, [&](int r) HWY_ATTR {
    const V shift = rows[r].get(kShift), spoilt = rows[r].get(kSpoilt);
    if constexpr (!kExponential) return hn::Add(hn::Set(d, std::numeric_limits<T>::quiet_NaN()), spoilt);
    // Without a visible key: minus infinity, or the sink's score, which is then the shift.
    const V none = has_sink(in) ? shift : hn::Set(d, kHidden<T>);
    const V log = has_sink(in) ? hn::Neg(hn::Log(d, inverse[r])) : log_mass[r];
    return hn::Add(hn::IfThenElse(hn::Eq(count(r), zero), none, hn::Add(shift, log)), spoilt);
  });
  store(to.logit_mean, [&](int r) HWY_ATTR { return rows[r].get(kLogitMean); });
  store(to.logit_variance, [&](int r) HWY_ATTR { return hn::Mul(rows[r].get(kLogitSquares), per_key[r]); });
  store(to.logit_maximum, [&](int r) HWY_ATTR { return rows[r].get(kLogitMaximum); });
  store(to.skewness, [&](int r) HWY_ATTR {
    // What rounding leaves of weights that are all equal is no variance: their mean is a sum of half a tile at a time.
    constexpr int kHalfTile = kTileKeys / 2;
    const V mean = rows[r].get(kWeightMean);
    const V rounding = hn::Mul(hn::Set(d, kHalfTile * std::numeric_limits<T>::epsilon()), mean);
    const V variance = hn::Mul(rows[r].get(kWeightSquares), per_key[r]);
    const V cube = hn::Mul(rows[r].get(kWeightCubes), per_key[r]);
    const V skewness = hn::Div(cube, hn::Mul(variance, hn::Sqrt(variance)));
    // A negative normaliser turns the weights round.
    return hn::IfThenElseZero(hn::Gt(variance, hn::Mul(rounding, rounding)),
                              hn::CopySign(skewness, hn::Mul(skewness, inverse[r])));
  });
  give(to.visible, count);
  give(to.non_finite, [&](int r) HWY_ATTR { return hn::IfThenElseZero(hn::IsNaN(rows[r].get(kSpoilt)), one); });
  give(out.shift, [&](int r) HWY_ATTR { return hn::IfThenElse(weightless(r), zero, rows[r].get(kShift)); });
  give(out.inverse, [&](int r) HWY_ATTR { return inverse[r]; });
  store(out.mass, absolute);
}

// to[n] = lane n of a vector, of `count` lanes; to need not be aligned.
template <class D, class Number, class T = hn::TFromD<D>>
HWY_INLINE void store_lanes(D d, hn::Vec<D> values, int count, Number* to) {
  if constexpr (std::is_same_v<Number, T>) {
    if (count == static_cast<int>(hn::Lanes(d))) return hn::StoreU(values, d, to);
  }
  HWY_ALIGN T buffer[hn::MaxLanes(D())];
  hn::Store(values, d, buffer);
  for (int q = 0; q < count; ++q) to[q] = static_cast<Number>(buffer[q]);
}

// Writes the rows of a block whose lanes are queries.
template <bool kExponential, class T>
void finish(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
            const Scores<T>& scores, const BlockWorkspace<T>& work, const FirstWeights<T>& first) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const std::int64_t row_0 = (block.batch * in.shape.heads + block.head) * in.shape.queries + block.first;
  const V sink = hn::Set(d, sink_score(in, block.head));
  for (int c = 0; c < block.vectors; ++c) {
    const int count = std::min(lanes, block.count - c * lanes);
    const std::int64_t at = row_0 + c * lanes;
    const auto store = [&]<class Number>(Number* array, const V(&values)[1])
                           HWY_ATTR { store_lanes(d, values[0], count, array + at); };
    const Running<D> row[1] = {scores.running(c)};
    V inverse[1];
    visit_results<kExponential>(in, out, row, sink, inverse, store);
    if (out.statistics.first_visible_key != nullptr) {
      V weight = hn::Load(d, first.numbers(c * lanes));
      if constexpr (kExponential) {
        weight = kept<true>(d, weight, exp_below(d, hn::Sub(weight, row[0].get(kShift))));
      }
      const V p[1] = {hn::Mul(weight, inverse[0])};
      store(out.statistics.first_visible_key, p);
    }
    T* rows[hn::MaxLanes(D())];
    for (int q = 0; q < count; ++q) {
      rows[q] = out.output.row(block.batch, block.head, block.first + c * lanes + q);
    }
    const auto scaled = [&](V o) HWY_ATTR { return hn::Mul(o, inverse[0]); };
    lanes_to_rows(d, work.output + c * lanes, scores.width(), static_cast<int>(in.shape.value_width), rows, count,
                  scaled);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FINISH_INL_H_
