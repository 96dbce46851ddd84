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

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {

template <class T>
bool has_sink(const AttentionInput<T>& in) {
  return in.form.normaliser == Normaliser::kSumAndSink;
}
template <class T>
T sink_score(const AttentionInput<T>& in, std::int64_t head) {
  return in.sink != nullptr ? in.sink[head] : T(0);
}

template <class Function, class T>
void clear_running(const AttentionInput<T>& in, const QueryBlock& block, const BlockWorkspace<T>& work) {
  constexpr bool kExponential = Function::kFunction == WeightFunction::kExp;
  const int width = block.vectors * static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  std::fill_n(work.running, kQuantities * width, T(0));
  const auto fill = [&](Quantity q, T value) { std::fill_n(work.running + q * width, width, value); };
  fill(kLogitMaximum, kLowest<T>);
  fill(kLargest, kExponential ? kLowest<T> : T(-1));
  fill(kLargestIndex, T(-1));
  if constexpr (kExponential) {
    // The sink takes part in the maximum, so that its own exponential cannot overflow.
    fill(kShift, has_sink(in) ? sink_score(in, block.head) : kLowest<T>);
    fill(kFirst, kHidden<T>);
  }
}

// The scale of a row's weights, p = w · inverse, in the units of the running sums.
template <class Function, class T, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> inverse_of(const AttentionInput<T>& in, const QueryBlock& block, hn::Vec<D> sum, hn::Vec<D> shift,
                                 hn::Vec<D> count) {
  using V = hn::Vec<D>;
  const D d;
  const SimdMath<D> math;
  const V one = hn::Set(d, 1);
  V total = sum;
  switch (in.form.normaliser) {
    case Normaliser::kNone: return one;
    case Normaliser::kMax1: return hn::Div(one, hn::Max(one, hn::Abs(sum)));
    case Normaliser::kCount: {
      const V power = hn::Set(d, static_cast<T>(-in.form.count_power));
      return hn::Exp(d, hn::Mul(power, hn::Log(d, hn::Max(count, one))));
    }
    case Normaliser::kSumAndSink: {
      const V sink = hn::Set(d, sink_score(in, block.head));
      total = hn::Add(total, Function::weight(math, hn::Sub(sink, shift)));
      break;
    }
    case Normaliser::kSum: break;
  }
  const V smallest = hn::Set(d, std::numeric_limits<T>::min());
  return hn::IfThenElseZero(hn::Ge(hn::Abs(total), smallest), hn::Div(one, total));
}

template <class Function, class T>
void finish(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
            const Scores<T>& scores, const BlockWorkspace<T>& work) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  constexpr bool kExponential = Function::kFunction == WeightFunction::kExp;
  const D d;
  const SimdMath<D> math;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int width = scores.width();
  const int value_width = static_cast<int>(in.shape.value_width);
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const std::int64_t row_0 = (block.batch * in.shape.heads + block.head) * in.shape.queries + block.first;
  const RowStatistics<T>& to = out.statistics;

  for (int c = 0; c < block.vectors; ++c) {
    const int count = std::min(lanes, block.count - c * lanes);
    if (count <= 0) break;
    const std::int64_t at = row_0 + c * lanes;
    const auto row = scores.running(c);
    const V spoilt = row.get(kSpoilt);
    const V shift = row.get(kShift);
    const V keys = row.get(kCount);
    const V sum = row.get(kSum);
    const auto empty = hn::Eq(keys, zero);
    // Nothing but the sink has weight in a row without visible keys. NaN for a spoilt row.
    const auto weightless = hn::Eq(keys, has_sink(in) ? hn::Set(d, -1) : zero);
    const V inverse =
        hn::Add(hn::IfThenElse(weightless, zero, inverse_of<Function, T>(in, block, sum, shift, keys)), spoilt);
    for (int i = 0; i < value_width; ++i) {
      T* o = work.output + i * width + c * lanes;
      hn::Store(hn::Mul(hn::Load(d, o), inverse), d, o);
    }

    T buffer[hn::MaxLanes(D())];
    const auto store = [&](T* array, V value) HWY_ATTR {
      if (array == nullptr) return;
      hn::StoreU(hn::Add(hn::IfThenElse(empty, zero, value), spoilt), d, buffer);
      std::copy_n(buffer, count, array + at);
    };
    const auto store_integer = [&]<class Integer>(Integer* array, V value, V otherwise) HWY_ATTR {
      if (array == nullptr) return;
      hn::StoreU(hn::IfThenElse(hn::Or(empty, hn::IsNaN(spoilt)), otherwise, value), d, buffer);
      std::transform(buffer, buffer + count, array + at, [](T x) { return static_cast<Integer>(x); });
    };
    const V some = hn::Max(keys, one);
    const V absolute = kExponential ? sum : row.get(kSumAbsolute);
    const V safe = hn::Max(absolute, hn::Set(d, std::numeric_limits<T>::min()));
    const V entropy = hn::Sub(hn::Log(d, safe), hn::Div(row.get(kSumLog), safe));
    // Rounding may take the entropy of a single key just below zero.
    store(to.entropy, hn::IfThenElseZero(hn::Gt(absolute, zero), hn::Max(entropy, zero)));
    store(to.sum_of_squares, hn::Mul(hn::Mul(row.get(kSumSquares), inverse), inverse));
    V largest = row.get(kLargest), first = row.get(kFirst), total = sum;
    if constexpr (kExponential) {
      largest = math.exp(hn::Sub(row.get(kLogitMaximum), shift));
      first = math.exp(hn::Sub(first, shift));
      total = hn::Mul(sum, inverse);
    }
    store(to.maximum, hn::Mul(hn::Max(largest, zero), hn::Abs(inverse)));
    store_integer(to.argmax, row.get(kLargestIndex), hn::Set(d, -1));
    store(to.first_key, hn::Mul(first, inverse));
    store(to.row_sum, total);
    if (to.log_sum_exp != nullptr) {
      // Without a visible key: minus infinity, or the sink's score, which is then the shift.
      const V none = has_sink(in) ? shift : hn::Set(d, kHidden<T>);
      const V log = hn::IfThenElse(empty, none, hn::Sub(shift, hn::Log(d, inverse)));
      const V lse = kExponential ? log : hn::Set(d, std::numeric_limits<T>::quiet_NaN());
      hn::StoreU(hn::Add(lse, spoilt), d, buffer);
      std::copy_n(buffer, count, to.log_sum_exp + at);
    }
    store(to.logit_mean, row.get(kLogitMean));
    store(to.logit_variance, hn::Div(row.get(kLogitSquares), some));
    store(to.logit_maximum, row.get(kLogitMaximum));
    if (to.skewness != nullptr) {
      // What rounding leaves of weights that are all equal is no variance.
      const V rounding = hn::Mul(hn::Set(d, 4 * std::numeric_limits<T>::epsilon()), row.get(kWeightMean));
      const V variance = hn::Div(row.get(kWeightSquares), some);
      const V cube = hn::Div(row.get(kWeightCubes), some);
      const V skewness = hn::Div(cube, hn::Mul(variance, hn::Sqrt(variance)));
      // A negative normaliser turns the weights round.
      store(to.skewness, hn::IfThenElseZero(hn::Gt(variance, hn::Mul(rounding, rounding)),
                                            hn::CopySign(skewness, hn::Mul(skewness, inverse))));
    }
    if (to.visible != nullptr) {
      hn::StoreU(keys, d, buffer);
      std::transform(buffer, buffer + count, to.visible + at, [](T x) { return static_cast<std::int32_t>(x); });
    }
    if (to.non_finite != nullptr) {
      hn::StoreU(spoilt, d, buffer);
      std::transform(buffer, buffer + count, to.non_finite + at, [](T x) { return std::uint8_t(x != x); });
    }
    hn::StoreU(hn::IfThenElse(weightless, zero, shift), d, buffer);
    if (out.shift != nullptr) std::copy_n(buffer, count, out.shift + at);
    hn::StoreU(inverse, d, buffer);
    if (out.inverse != nullptr) std::copy_n(buffer, count, out.inverse + at);
    store(out.mass, absolute);
  }

  for (int q = 0; q < block.count; ++q) {
    T* output = out.output.row(block.batch, block.head, block.first + q);
    for (int i = 0; i < value_width; ++i) output[i] = work.output[i * width + q];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FINISH_INL_H_
