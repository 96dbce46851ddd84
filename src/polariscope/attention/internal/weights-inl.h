// The weights of a block of queries, all of whose scores are kept at once: a form that weighs each score alone is one
// more rule of the whole row.

#if defined(POLARISCOPE_ATTENTION_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_WEIGHTS_INL_H_
#undef POLARISCOPE_ATTENTION_WEIGHTS_INL_H_
#else
#define POLARISCOPE_ATTENTION_WEIGHTS_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/whole_rows-inl.h"
#include "polariscope/attention/rules-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// p = f(z)/n. sink: its score.
template <class Function, class D>
class Elementwise {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  HWY_INLINE Elementwise(const AttentionInput<T>& in, T sink, Column<T> scores) {
    const D d;
    const Summary<V> logits = summary<true>(d, scores);
    if constexpr (kIsExponential<Function>) {
      shift_ = hn::Max(logits.largest, hn::Set(d, has_sink(in) ? sink : kLowest<T>));
    }
    V sum = sum_over(d, scores, [&](V z) HWY_ATTR { return weight(z); });
    if constexpr (is_unbounded(Function::kFunction)) {
      const V squares = sum_over(d, scores, [&](V z) HWY_ATTR { return hn::Mul(weight(z), weight(z)); });
      const auto finite = hn::IsFinite(squares);
      if (!hn::AllTrue(d, finite)) {
        shift_ = hn::IfThenZeroElse(finite, shift_for(d, largest_size(d, Function::kFunction, scores, hn::Zero(d))));
        by_ = lowering(d, shift_);
        sum = sum_over(d, scores, [&](V z) HWY_ATTR { return weight(z); });
      }
    }
    inverse_ = inverse_of<kIsExponential<Function>, T>(in.form, hn::Set(d, sink), sum, shift_, logits.count);
  }
  HWY_INLINE V p(V z) const { return hn::Mul(weight(z), inverse_); }

 private:
  HWY_INLINE V weight(V z) const {
    if constexpr (kIsExponential<Function>) return exp_below(D(), hn::Sub(z, shift_));
    return lowered<Function>(D(), z, by_).weight;
  }
  V shift_ = hn::Zero(D()), by_ = hn::Set(D(), 1), inverse_;
};

// p of a column of scores in their place. spoilt: 0, or NaN for rows with a score that is not finite.
template <class Rule, class D, class T = hn::TFromD<D>>
HWY_INLINE void replace_by_weights(D d, const Rule& rule, hn::Vec<D> spoilt, Column<T> scores) {
  for (int j = 0; j < scores.keys; ++j) {
    T* at = scores.data + j * scores.stride;
    const hn::Vec<D> z = hn::Load(d, at);
    hn::Store(kept<true>(d, z, hn::Add(rule.p(z), spoilt)), d, at);
  }
}

// weights: [block.count, keys], of whose columns of scores weigh(column, spoilt) makes weights. all: [keys, W].
template <class T, class Weigh>
HWY_INLINE void write_weights(const AttentionInput<T>& in, const QueryBlock& block, const BlockWorkspace<T>& work,
                              T* all, T* weights, const Weigh& weigh) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  clear_running<false>(in, block, work);
  Scores<T> scores(in, block, work);
  scores.compute_all(all);
  const std::int64_t keys = in.shape.keys, begin = scores.begin(), end = scores.end();
  for (int q = 0; q < block.count; ++q) {
    std::fill_n(weights + q * keys, begin, T(0));
    std::fill(weights + q * keys + end, weights + (q + 1) * keys, T(0));
  }
  for (int c = 0; c < block.vectors; ++c) {
    const int count = std::clamp(block.count - c * lanes, 0, lanes);
    const Column<T> column{all + c * lanes, scores.width(), static_cast<int>(end - begin)};
    const V lost = spoilt_of<true>(d, column, summary<true>(d, column).mean);
    weigh(column, hn::Add(scores.running(c).get(kSpoilt), lost));
    T* rows[hn::MaxLanes(D())];
    for (int q = 0; q < count; ++q) rows[q] = weights + (c * lanes + q) * keys + begin;
    lanes_to_rows(d, column.data, column.stride, column.keys, rows, count, [](V p) HWY_ATTR { return p; });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_WEIGHTS_INL_H_
