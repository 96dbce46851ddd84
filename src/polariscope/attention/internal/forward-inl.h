// The forward pass of blocks of queries over all their keys, tile by tile, in memory that does not depend on how many
// there are.

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
#include <cstddef>
#include <optional>
#include <span>

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

// A block on its way over the keys.
template <bool kExponential, class T>
class ForwardBlock {
 public:
  // next: the block that this thread will probably take then.
  ForwardBlock(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
               const QueryBlock& next, const Wanted& wanted, const BlockWorkspace<T>& work)
      : in_(in),
        out_(out),
        block_(block),
        wanted_(wanted),
        work_(work),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        value_width_(static_cast<int>(in.shape.value_width)),
        scores_(in, block, cleared(in, block, work)),
        first_(in, block, out.statistics.first_visible_key != nullptr, kExponential ? kHidden<T> : T(0)),
        ahead_(in, out, block, next, products()) {
    begin();
  }

  std::int64_t begins() const { return scores_.begin(); }
  std::int64_t ends() const { return scores_.end(); }

  // Takes the tiles that begin before `end`.
  HWY_INLINE void take_until(std::int64_t end) {
    for (; key_ < std::min(end, scores_.end()); key_ += kTileKeys) {
      take(static_cast<int>(std::min<std::int64_t>(kTileKeys, scores_.end() - key_)));
    }
  }

  void finish_rows() {
    if (!kExponential && lower_weights(in_, block_, scores_, work_)) {
      begin();
      take_until(scores_.end());
    }
    finish<kExponential>(in_, out_, block_, scores_, work_, first_);
  }

 private:
  using D = hn::ScalableTag<T>;

  static const BlockWorkspace<T>& cleared(const AttentionInput<T>& in, const QueryBlock& block,
                                          const BlockWorkspace<T>& work) {
    clear_running<kExponential>(in, block, work);
    return work;
  }
  std::int64_t products() const {
    const std::int64_t keys = scores_.end() - scores_.begin();
    return (keys + keys / kTileKeys * value_width_) / kProductRows;
  }
  void begin() {
    std::fill_n(work_.output, static_cast<std::ptrdiff_t>(value_width_) * scores_.width(), T(0));
    key_ = scores_.begin();
  }

  HWY_INLINE void take(int keys) {
    const D d;
    const int width = scores_.width();
    scores_.compute(key_, keys, work_.scores, &ahead_);
    const bool masked = scores_.hides(key_, keys);
    if constexpr (kExponential) first_.take(key_, keys, work_.scores, width);
    // A tile that hides keys keeps its scores, which say which.
    T* weights = masked ? work_.weights : work_.scores;
    for (int c = 0; c < block_.vectors; ++c) {
      const Column<T> column{work_.scores + c * lanes_, width, keys};
      const auto row = scores_.running(c);
      const T key_0 = static_cast<T>(key_);
      const auto weigh_by = [&]<class Function>() HWY_ATTR {
        return masked ? weigh<Function, true>(d, column, weights + c * lanes_, key_0, wanted_, row)
                      : weigh<Function, false>(d, column, weights + c * lanes_, key_0, wanted_, row);
      };
      bool rescaled = false;
      if constexpr (kExponential) {
        rescaled = weigh_by.template operator()<ExpFunction>();
      } else {
        with_function(in_.form.weight, weigh_by);
      }
      if (rescaled) rescale_output(d, work_.output + c * lanes_, value_width_, width, row.get(kRescale));
    }
    if constexpr (!kExponential) first_.take(key_, keys, weights, width);
    const T* values = in_.value.row(block_.batch, block_.key_head, key_);
    const std::ptrdiff_t stride = in_.value.row_stride;
    if (!add_low_values(scores_, key_, keys, values, stride, value_width_, weights, work_.output)) {
      add_keys(scores_, key_, keys, values, stride, value_width_, weights, work_.output, &ahead_);
    }
  }

  const AttentionInput<T>& in_;
  const AttentionOutput<T>& out_;
  const QueryBlock& block_;
  const Wanted& wanted_;
  const BlockWorkspace<T>& work_;
  int lanes_, value_width_;
  Scores<T> scores_;
  FirstWeights<T> first_;
  Ahead ahead_;
  std::int64_t key_ = 0;
};

// Several blocks of one head pass over its keys together, so many at a time, which then come from the second-level
// cache for all but the first; each takes them as it would alone. works: one a block.
template <bool kExponential, class T>
void forward_blocks(const AttentionInput<T>& in, const AttentionOutput<T>& out, std::span<const QueryBlock> blocks,
                    const QueryBlock& next, const Wanted& wanted, const BlockWorkspace<T>* const* works) {
  constexpr std::int64_t kKeysTogether = 4 * kTileKeys;
  std::optional<ForwardBlock<kExponential, T>> parts[kBlocksAtOnce];
  std::int64_t begin = in.shape.keys, end = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto& part = parts[b].emplace(in, out, blocks[b], next, wanted, *works[b]);
    begin = std::min(begin, part.begins());
    end = std::max(end, part.ends());
  }
  const std::int64_t step = blocks.size() > 1 ? kKeysTogether : end - begin;
  for (std::int64_t key = begin; key < end; key += step) {
    for (std::size_t b = 0; b < blocks.size(); ++b) parts[b]->take_until(key + step);
  }
  for (std::size_t b = 0; b < blocks.size(); ++b) parts[b]->finish_rows();
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FORWARD_INL_H_
