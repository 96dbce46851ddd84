// Blocks of queries whose weights are a rule of the whole row: all scores of the block are kept at once,
// [keys, W] (still O(keys) a thread), since a rule passes over them more than once.

#if defined(POLARISCOPE_ATTENTION_WHOLE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_WHOLE_ROWS_INL_H_
#undef POLARISCOPE_ATTENTION_WHOLE_ROWS_INL_H_
#else
#define POLARISCOPE_ATTENTION_WHOLE_ROWS_INL_H_
#endif

#include "polariscope/attention/internal/backward-inl.h"
#include "polariscope/attention/rules-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Calls run(rule, column) with the rule prepared from each column of scores.
template <template <class> class Rule, class T, class Run>
HWY_INLINE void for_each_column(const AttentionInput<T>& in, const QueryBlock& block, const Scores<T>& scores, T* all,
                                const Run& run) {
  using D = hn::ScalableTag<T>;
  const int lanes = static_cast<int>(hn::Lanes(D()));
  const int keys = static_cast<int>(scores.end() - scores.begin());
  for (int c = 0; c < block.vectors; ++c) {
    const Column<T> column{all + c * lanes, scores.width(), keys};
    run(c, column, Rule<D>(in.form, column));
  }
}

// Calls run(key, keys, offset of the tile in [keys, W]) tile by tile.
template <class T, class Run>
HWY_INLINE void for_each_tile(const Scores<T>& scores, const Run& run) {
  for (std::int64_t key = scores.begin(); key < scores.end(); key += kTileKeys) {
    const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, scores.end() - key));
    run(key, keys, (key - scores.begin()) * scores.width());
  }
}

// all: [keys, W].
template <template <class> class Rule, class T>
void forward_whole_rows(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block,
                        const Wanted& wanted, const BlockWorkspace<T>& work, T* all) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int value_width = static_cast<int>(in.shape.value_width);
  clear_running<false>(in, block, work);
  Scores<T> scores(in, block, work);
  const int width = scores.width();
  FirstWeights<T> first(in, block, out.statistics.first_visible_key != nullptr, T(0));
  std::fill_n(work.output, static_cast<std::ptrdiff_t>(value_width) * width, T(0));

  scores.compute_all(all);
  for_each_column<Rule>(in, block, scores, all, [&](int c, Column<T> column, const Rule<D>& rule) HWY_ATTR {
    const auto row = scores.running(c);
    const T key_0 = static_cast<T>(scores.begin());
    const auto p = [&](V z) HWY_ATTR { return rule.p(z); };
    const Summary<V> logits = summary<true>(d, column);
    row.add(kSpoilt, spoilt_of<true>(d, column, logits.mean));
    row.set(kLogitMaximum, logits.largest);
    if (wanted.logit_moments) merge_logits<true, true>(d, column, logits, row);
    const V sum = measure<true>(d, column, p, static_cast<T*>(nullptr), key_0, wanted, row);
    const V mean = hn::Div(sum, hn::Max(logits.count, hn::Set(d, 1)));
    V squares = hn::Zero(d), cubes = squares;
    for (int j = 0; j < column.keys; ++j) {
      T* at = column.data + j * column.stride;
      const V z = hn::Load(d, at);
      const V weight = kept<true>(d, z, rule.p(z));
      const V apart = kept<true>(d, z, hn::Sub(weight, mean));
      squares = hn::MulAdd(apart, apart, squares);
      cubes = hn::MulAdd(hn::Mul(apart, apart), apart, cubes);
      hn::Store(weight, d, at);
    }
    row.set(kWeightMean, mean);
    row.set(kWeightSquares, squares);
    row.set(kWeightCubes, cubes);
    row.set(kCount, logits.count);
    if (key_0 == T(0) && column.keys > 0) row.set(kFirst, hn::Load(d, column.data));
  });
  first.take(scores.begin(), scores.end() - scores.begin(), all, width);
  for_each_tile(scores, [&](std::int64_t key, int keys, std::ptrdiff_t at) HWY_ATTR {
    const T* values = in.value.row(block.batch, block.key_head, key);
    add_keys(scores, key, keys, values, in.value.row_stride, value_width, all + at, work.output);
  });
  finish<false>(in, out, block, scores, work, first);
}

// What a column's first `count` rows owe to the rule's parameters. upstream: of their p, [keys, W].
template <class Rule, class T>
HWY_NOINLINE void add_parameters(Rule rule, Column<T> scores, const T* upstream, int count, SharedDue& due) {
  using D = hn::ScalableTag<T>;
  const D d;
  rule.prepare_parameters(scores);
  for (std::size_t n = 0; n < Rule::kParameters.size(); ++n) {
    hn::Vec<D> sum = hn::Zero(d);
    for (int j = 0; j < scores.keys; ++j) {
      const hn::Vec<D> z = hn::Load(d, scores.data + j * scores.stride);
      const hn::Vec<D> slope = kept<true>(d, z, rule.parameter_slope(n, z));
      sum = hn::MulAdd(slope, hn::Load(d, upstream + j * scores.stride), sum);
    }
    due.*Rule::kParameters[n] += sum_of_first(d, sum, count);
  }
}

// all, pulled: [keys, W] each.
template <template <class> class Rule, class T>
void backward_whole_rows(const AttentionInput<T>& in, const AttentionOutput<T>& forward,
                         const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& upstream,
                         const AttentionGradient<T>& gradient, const QueryBlock& block, const BlockWorkspace<T>& work,
                         const BackwardWorkspace<T>& back, T* all, T* pulled, SharedDue& due) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  clear_running<false>(in, block, work);
  BackwardBlock<T> whole(in, forward, d_output, upstream, block, work, back);
  Scores<T>& scores = whole.scores();
  const auto& learned = gradient.parameters;
  const bool learns =
      in.form.rule != reweighting::RowRule::kSparsemax &&
      (learned.gamma != nullptr || learned.zeta != nullptr || learned.epsilon != nullptr || learned.alpha != nullptr);
  scores.compute_all(all);
  for_each_tile(scores, [&](std::int64_t key, int keys, std::ptrdiff_t at) { whole.pull(key, keys, pulled + at); });
  for_each_column<Rule>(in, block, scores, all, [&](int c, Column<T> column, const Rule<D>& rule) HWY_ATTR {
    const RowGradient<V>& row = whole.row(c);
    T* g_of = pulled + c * lanes;
    V pull = hn::Zero(d), share = pull;
    for (int j = 0; j < column.keys; ++j) {
      const V z = hn::Load(d, column.data + j * column.stride);
      const V key = hn::Set(d, static_cast<T>(scores.begin() + j));
      const V g = upstream_of(d, row, rule.p(z), key, hn::Load(d, g_of + j * column.stride));
      hn::Store(kept<true>(d, z, g), d, g_of + j * column.stride);
      pull = hn::Add(pull, kept<true>(d, z, hn::Mul(rule.pull(z), g)));
      if constexpr (Rule<D>::kMean) share = hn::Add(share, kept<true>(d, z, rule.spread(z)));
    }
    if (learns) add_parameters(rule, column, g_of, whole.count(c), due);
    const V mean = Rule<D>::kMean ? hn::Div(pull, share) : pull;
    V of_factor = hn::Zero(d);
    for (int j = 0; j < column.keys; ++j) {
      T* at = column.data + j * column.stride;
      T* to = g_of + j * column.stride;
      const V z = hn::Load(d, at);
      V dz = hn::Sub(hn::Mul(rule.direct(z), hn::Load(d, to)), hn::Mul(rule.spread(z), mean));
      dz = hn::Add(dz, hn::MulAdd(row.logit_slope, hn::Sub(z, row.mean), row.logit));
      if (learned.transform_factor != nullptr) of_factor = hn::Add(of_factor, scores.due_to_factor(z, dz));
      hn::Store(kept<true>(d, z, rule.p(z)), d, at);
      hn::Store(kept<true>(d, z, hn::Mul(dz, scores.transform_slope(z, c))), d, to);
    }
    if (learned.transform_factor != nullptr) due.transform_factor += sum_of_first(d, of_factor, whole.count(c));
  });
  for_each_tile(scores, [&](std::int64_t key, int keys, std::ptrdiff_t at) {
    whole.push(key, keys, all + at, pulled + at, gradient.bias);
  });
  whole.finish(gradient.query);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_WHOLE_ROWS_INL_H_
