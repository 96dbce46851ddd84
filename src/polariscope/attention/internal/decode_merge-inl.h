// What is known of rows in parts, of the keys of each lane and of each split, brought together, lanes being rows.

#if defined(POLARISCOPE_ATTENTION_DECODE_MERGE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_DECODE_MERGE_INL_H_
#undef POLARISCOPE_ATTENTION_DECODE_MERGE_INL_H_
#else
#define POLARISCOPE_ATTENTION_DECODE_MERGE_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/decode.h"
#include "polariscope/attention/internal/instances-inl.h"
#include "polariscope/attention/transpose-inl.h"

#include <algorithm>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
static_assert(kDecodeQuantities == kQuantities);

template <class D>
using MergedRow = HeldRow<D, false>;

// Adds what is known of other keys of the same rows, of the same shift.
template <class D, class V = hn::Vec<D>>
HWY_NOINLINE void add_keys_of(D d, const MergedRow<D>& more, MergedRow<D>& row) {
  const V none = hn::Zero(d);
  const Moments<V> logits =
      merged<false>(d, Moments<V>{row.get(kCount), row.get(kLogitMean), row.get(kLogitSquares), none},
                    Moments<V>{more.get(kCount), more.get(kLogitMean), more.get(kLogitSquares), none});
  const Moments<V> weights = merged<true>(
      d, Moments<V>{row.get(kCount), row.get(kWeightMean), row.get(kWeightSquares), row.get(kWeightCubes)},
      Moments<V>{more.get(kCount), more.get(kWeightMean), more.get(kWeightSquares), more.get(kWeightCubes)});
  row.set(kLogitMean, logits.mean);
  row.set(kLogitSquares, logits.squares);
  row.set(kWeightMean, weights.mean);
  row.set(kWeightSquares, weights.squares);
  row.set(kWeightCubes, weights.cubes);
  for (const Quantity q : {kSum, kSumLog, kSumSquares, kCount, kSpoilt}) row.add(q, more.get(q));
  row.set(kLogitMaximum, hn::Max(row.get(kLogitMaximum), more.get(kLogitMaximum)));
  row.set(kFirst, hn::Max(row.get(kFirst), more.get(kFirst)));
  // The first key of those that attain the maximum.
  const V largest = row.get(kLargest), other = more.get(kLargest);
  const V index = row.get(kLargestIndex), other_index = more.get(kLargestIndex);
  const auto beyond = hn::Or(hn::Lt(largest, other), hn::And(hn::Eq(largest, other), hn::Lt(other_index, index)));
  row.set(kLargest, hn::IfThenElse(beyond, other, largest));
  row.set(kLargestIndex, hn::IfThenElse(beyond, other_index, index));
}

// The states of an item's rows, whose lanes are brought together. running: [rows, kQuantities, lanes].
inline void leave_states(const DecodeItem& item, const DecodePlan& plan, const float* running, int lanes,
                         const DecodePartials& to) {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  const D d;
  const int numbers = kQuantities * lanes;
  float* by_lane = room<float, 7>(std::ptrdiff_t{numbers} * lanes);  // [kQuantities, lanes, rows]
  for (int first = 0; first < item.rows; first += lanes) {
    const float* rows[hn::MaxLanes(D())];
    for (int r = 0; r < lanes; ++r) rows[r] = running + std::min(first + r, item.rows - 1) * numbers;
    rows_to_lanes(d, rows, numbers, by_lane, lanes, [](V x) HWY_ATTR { return x; });
    MergedRow<D> row;
    for (int lane = 0; lane < lanes; ++lane) {
      MergedRow<D> part;
      for (int q = 0; q < kQuantities; ++q) {
        part.set(static_cast<Quantity>(q), hn::Load(d, by_lane + (q * lanes + lane) * lanes));
      }
      // Lane l has keys l, l + lanes, ...
      const V index = part.get(kLargestIndex);
      const V key = hn::MulAdd(index, hn::Set(d, static_cast<float>(lanes)), hn::Set(d, static_cast<float>(lane)));
      part.set(kLargestIndex, hn::IfThenElse(hn::Lt(index, hn::Zero(d)), index, key));
      if (lane == 0) {
        row = part;
        continue;
      }
      part.set(kFirst, hn::Set(d, kHidden<float>));  // key 0 is lane 0's
      add_keys_of(d, part, row);
    }
    const int count = std::min(lanes, item.rows - first);
    for (int q = 0; q < kQuantities; ++q) {
      HWY_ALIGN float buffer[hn::MaxLanes(D())];
      hn::Store(row.get(static_cast<Quantity>(q)), d, buffer);
      std::copy_n(buffer, count,
                  to.states + (item.split * kQuantities + q) * plan.padded_rows() + item.first_row + first);
    }
  }
}

// Rows [first, first + count) from what the splits left.
inline void merge_rows(const AttentionInput<float>& in, const AttentionOutput<float>& out, const DecodePlan& plan,
                       std::int64_t first, int count, const DecodePartials& from) {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto quantity = [&](std::int64_t split, int q) HWY_ATTR {
    return hn::LoadU(d, from.states + (split * kQuantities + q) * plan.padded_rows() + first);
  };
  V shift = quantity(0, kShift);
  for (std::int64_t split = 1; split < plan.splits(); ++split) shift = hn::Max(shift, quantity(split, kShift));

  float* factors = room<float, 8>(plan.splits() * lanes);  // of each split's sums
  MergedRow<D> rows[1];
  for (std::int64_t split = 0; split < plan.splits(); ++split) {
    MergedRow<D> part;
    for (int q = 0; q < kQuantities; ++q) part.set(static_cast<Quantity>(q), quantity(split, q));
    lower_to(d, shift, part);
    hn::Store(part.get(kRescale), d, factors + split * lanes);
    if (split == 0) {
      rows[0] = part;
    } else {
      add_keys_of(d, part, rows[0]);
    }
  }

  const AttentionShape& shape = in.shape;
  HWY_ALIGN float numbers[hn::MaxLanes(D())] = {};
  for (int r = 0; r < count; ++r) numbers[r] = sink_score(in, (first + r) / shape.queries % shape.heads);
  const V sink = hn::Load(d, numbers);
  V inverse[1];
  const auto store = [&]<class Number>(Number* array, const V(&values)[1])
                         HWY_ATTR { store_lanes(d, values[0], count, array + first); };
  visit_results<true>(in, out, rows, sink, inverse, store);
  if (out.statistics.first_visible_key != nullptr) {
    const V z = hn::LoadU(d, from.first + first);
    const V p[1] = {hn::Mul(kept<true>(d, z, exp_below(d, hn::Sub(z, shift))), inverse[0])};
    store(out.statistics.first_visible_key, p);
  }
  hn::Store(inverse[0], d, numbers);
  for (int r = 0; r < count; ++r) {
    const std::int64_t row = first + r, head = row / shape.queries;
    float* to = out.output.row(head / shape.heads, head % shape.heads, row % shape.queries);
    for (std::int64_t c = 0; c < shape.value_width; c += lanes) {
      V sum = hn::Zero(d);
      for (std::int64_t split = 0; split < plan.splits(); ++split) {
        const float* part = from.outputs + (split * plan.rows() + row) * plan.padded_width() + c;
        sum = hn::MulAdd(hn::Set(d, factors[split * lanes + r]), hn::Load(d, part), sum);
      }
      const int left = static_cast<int>(std::min<std::int64_t>(lanes, shape.value_width - c));
      store_lanes(d, hn::Mul(sum, hn::Set(d, numbers[r])), left, to + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_DECODE_MERGE_INL_H_
