// What each key receives: a second pass over the weights, which the rows' shifts and normalisers give back.

#if defined(POLARISCOPE_ATTENTION_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_COLUMNS_INL_H_
#undef POLARISCOPE_ATTENTION_COLUMNS_INL_H_
#else
#define POLARISCOPE_ATTENTION_COLUMNS_INL_H_
#endif

#include "polariscope/attention/internal/backward-inl.h"
#include "polariscope/attention/internal/whole_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Adds to sums[j] and counts[j] of a tile's keys what a column's first `count` queries give and how many see it.
template <class Weight, class D, class T = hn::TFromD<D>>
HWY_INLINE void add_received(D d, Column<T> scores, int count, const Weight& weight, double* sums, double* counts) {
  const auto real = hn::FirstN(d, static_cast<size_t>(count));
  for (int j = 0; j < scores.keys; ++j) {
    const hn::Vec<D> z = hn::Load(d, scores.data + j * scores.stride);
    const auto seen = hn::And(real, visible<true>(d, z));
    sums[j] += hn::GetLane(hn::SumOfLanes(d, hn::IfThenElseZero(seen, weight(z))));
    counts[j] += static_cast<double>(hn::CountTrue(d, seen));
  }
}

// Whether no query of a block sees a key of [key, end): rows see later keys the later they stand.
template <class T>
bool sees_none(const AttentionInput<T>& in, const QueryBlock& block, std::int64_t key, std::int64_t end) {
  return visible_keys(in, block.batch, block.first + block.count - 1).end <= key ||
         visible_keys(in, block.batch, block.first).first >= end;
}

// Keys [key, key + keys) of one head, tile by tile, of which `blocks` are the queries.
template <class T>
void columns_of_tiles(const AttentionInput<T>& in, const T* shift, const T* inverse, const QueryBlocks& blocks,
                      std::int64_t batch, std::int64_t head, std::int64_t key, int keys, const BlockWorkspace<T>& work,
                      double* sums, double* counts) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (std::int64_t nth = 0; nth < blocks.per_head(); ++nth) {
    const QueryBlock block = blocks.block(batch, head, nth);
    if (sees_none(in, block, key, key + keys)) continue;
    clear_running<false>(in, block, work);
    Scores<T> scores(in, block, work);
    const std::int64_t row_0 = (batch * in.shape.heads + head) * in.shape.queries + block.first;
    for (int first = 0; first < keys; first += kTileKeys) {
      const int count = std::min(kTileKeys, keys - first);
      if (key + first + count <= scores.begin() || key + first >= scores.end()) continue;
      scores.compute(key + first, count, work.scores);
      for (int c = 0; c < block.vectors; ++c) {
        const int queries = std::clamp(block.count - c * lanes, 0, lanes);
        const Column<T> column{work.scores + c * lanes, scores.width(), count};
        const V by = load_rows<T>(shift, row_0 + c * lanes, queries);
        const V times = load_rows<T>(inverse, row_0 + c * lanes, queries);
        with_function(in.form.weight, [&]<class Function>() HWY_ATTR {
          const V lower = kIsExponential<Function> ? times : lowering(d, by);
          const auto p = [&](V z) HWY_ATTR {
            if constexpr (kIsExponential<Function>) return hn::Mul(exp_below(d, hn::Sub(z, by)), times);
            return hn::Mul(lowered<Function>(d, z, lower).weight, times);
          };
          add_received(d, column, queries, p, sums + first, counts + first);
        });
      }
    }
  }
}

// All keys of one head, for a rule of the whole row. all: [keys, W].
template <template <class> class Rule, class T>
void columns_of_head(const AttentionInput<T>& in, const QueryBlocks& blocks, std::int64_t batch, std::int64_t head,
                     const BlockWorkspace<T>& work, T* all, double* sums, double* counts) {
  using D = hn::ScalableTag<T>;
  const int lanes = static_cast<int>(hn::Lanes(D()));
  for (std::int64_t nth = 0; nth < blocks.per_head(); ++nth) {
    const QueryBlock block = blocks.block(batch, head, nth);
    clear_running<false>(in, block, work);
    Scores<T> scores(in, block, work);
    scores.compute_all(all);
    for_each_column<Rule>(in, block, scores, all, [&](int c, Column<T> column, const Rule<D>& rule) HWY_ATTR {
      const int count = std::clamp(block.count - c * lanes, 0, lanes);
      const auto p = [&](hn::Vec<D> z) HWY_ATTR { return rule.p(z); };
      add_received(D(), column, count, p, sums + scores.begin(), counts + scores.begin());
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_COLUMNS_INL_H_
