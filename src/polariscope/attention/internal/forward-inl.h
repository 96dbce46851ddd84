// The forward pass of one block of queries over all its keys, tile by tile, in memory that does not depend
// on how many there are.

#if defined(POLARISCOPE_ATTENTION_FORWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_FORWARD_INL_H_
#undef POLARISCOPE_ATTENTION_FORWARD_INL_H_
#else
#define POLARISCOPE_ATTENTION_FORWARD_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/first_visible-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/unseen-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// Takes a column of the output's sums down to a new maximum.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void rescale_output(D d, T* output, int rows, std::ptrdiff_t stride, hn::Vec<D> by) {
  for (int i = 0; i < rows; ++i) hn::Store(hn::Mul(hn::Load(d, output + i * stride), by), d, output + i * stride);
}

// Whether some rows' sums overflowed: these are then begun anew, with the shift that their weights need, and so are
// those beside them.
template <class T>
bool lower_weights(const AttentionInput<T>& in, const QueryBlock& block, Scores<T>& scores,
                   const BlockWorkspace<T>& work) {
  using V = hn::Vec<hn::ScalableTag<T>>;
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  bool any = false;
  for (int c = 0; c < block.vectors; ++c) any |= !hn::AllFalse(d, overflowed(d, in.form.weight, scores.running(c)));
  if (!any) return false;
  V largest[kBlockVectors];
  hn::Mask<hn::ScalableTag<T>> which[kBlockVectors];
  for (int c = 0; c < block.vectors; ++c) {
    largest[c] = hn::Zero(d);
    which[c] = overflowed(d, in.form.weight, scores.running(c));
  }
  for (std::int64_t key = scores.begin(); key < scores.end(); key += kTileKeys) {
    const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, scores.end() - key));
    scores.compute(key, keys, work.scores);
    for (int c = 0; c < block.vectors; ++c) {
      largest[c] =
          largest_size(d, in.form.weight, Column<T>{work.scores + c * lanes, scores.width(), keys}, largest[c]);
    }
  }
  clear_running<false>(in, block, work);
  for (int c = 0; c < block.vectors; ++c) {
    scores.running(c).set(kShift, hn::IfThenElseZero(which[c], shift_for(d, largest[c])));
  }
  return true;
}

// next: the block that this thread will probably take then.
template <bool kExponential, class T>
void forward_block(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
                   const QueryBlock& next, const Wanted& wanted, const BlockWorkspace<T>& work) {
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int value_width = static_cast<int>(in.shape.value_width);
  clear_running<kExponential>(in, block, work);
  Scores<T> scores(in, block, work);
  const int width = scores.width();
  FirstWeights<T> first(in, block, out.statistics.first_visible_key != nullptr, kExponential ? kHidden<T> : T(0));
  const std::int64_t all_keys = scores.end() - scores.begin();
  Ahead ahead(in, out, block, next, (all_keys + all_keys / kTileKeys * value_width) / kProductRows);
  const auto pass = [&]() HWY_ATTR {
    std::fill_n(work.output, static_cast<std::ptrdiff_t>(value_width) * width, T(0));
    for (std::int64_t key = scores.begin(); key < scores.end(); key += kTileKeys) {
      const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, scores.end() - key));
      scores.compute(key, keys, work.scores, &ahead);
      const bool masked = scores.hides(key, keys);
      if constexpr (kExponential) first.take(key, keys, work.scores, width);
      // A tile that hides keys keeps its scores, which say which.
      T* weights = masked ? work.weights : work.scores;
      for (int c = 0; c < block.vectors; ++c) {
        const Column<T> column{work.scores + c * lanes, width, keys};
        const auto row = scores.running(c);
        const T key_0 = static_cast<T>(key);
        const auto weigh_by = [&]<class Function>() HWY_ATTR {
          return masked ? weigh<Function, true>(d, column, weights + c * lanes, key_0, wanted, row)
                        : weigh<Function, false>(d, column, weights + c * lanes, key_0, wanted, row);
        };
        bool rescaled = false;
        if constexpr (kExponential) {
          rescaled = weigh_by.template operator()<ExpFunction>();
        } else {
          with_function(in.form.weight, weigh_by);
        }
        if (rescaled) rescale_output(d, work.output + c * lanes, value_width, width, row.get(kRescale));
      }
      if constexpr (!kExponential) first.take(key, keys, weights, width);
      const T* values = in.value.row(block.batch, block.key_head, key);
      const std::ptrdiff_t stride = in.value.row_stride;
      if (!add_low_values(scores, key, keys, values, stride, value_width, weights, work.output)) {
        add_keys(scores, key, keys, values, stride, value_width, weights, work.output, &ahead);
      }
    }
  };
  pass();
  if (!kExponential && lower_weights(in, block, scores, work)) pass();
  finish<kExponential>(in, out, block, scores, work, first);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FORWARD_INL_H_
