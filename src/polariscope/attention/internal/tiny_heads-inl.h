// Many short sequences: lanes are heads rather than queries, so that no lane is idle and the cost of beginning
// and ending a row is shared by a vector of heads. Here what both directions share.

#if defined(POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/lane_product-inl.h"
#include "polariscope/attention/internal/lane_values-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/unseen-inl.h"
#include "polariscope/attention/transpose-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

template <class T>
bool whole_vectors(std::int64_t width) {
  return width % static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>())) == 0;
}

// One vector of heads.
template <class T>
class TinyHeads {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());

  // first: the first head of batch * heads.
  TinyHeads(const AttentionInput<T>& in, std::int64_t first)
      : in_(in),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        count_(static_cast<int>(std::min<std::int64_t>(lanes_, in.shape.batch * in.shape.heads - first))),
        first_(first) {
    const std::int64_t group = in.shape.heads / in.shape.key_heads;
    std::int64_t batch = first / in.shape.heads, head = first % in.shape.heads;
    for (int l = 0; l < lanes_; ++l) {
      batch_[l] = batch;
      head_[l] = head;
      key_head_[l] = group == 1 ? head : head / group;
      sink_[l] = sink_score(in, head);
      if (l + 1 < count_ && ++head == in.shape.heads) head = 0, ++batch;
    }
  }

  int lanes() const { return lanes_; }
  int count() const { return count_; }  // lanes beyond it repeat the last head
  std::int64_t pair(int lane) const { return first_ + std::min(lane, count_ - 1); }
  HWY_INLINE V sinks() const { return hn::Load(D(), sink_); }
  bool hides() const { return in_.causal || in_.window > 0 || in_.key_lengths != nullptr; }

  // Whether the keys' rows where they lie hold no other than finite numbers, behind lengths aside.
  bool finite_key_rows(const LaneRows<const T>& rows, std::int64_t width) const {
    for (int l = 0; l < count_; ++l) {
      if (!all_finite(D(), rows.first[l], rows.stride, key_length(in_, batch_[l]), width)) return false;
    }
    return true;
  }

  // Of the lanes' own heads, or of those of the keys that they read.
  template <class U>
  HWY_INLINE LaneRows<U> own_rows(const HeadsView<U>& view) const {
    return rows_of(view, head_);
  }
  template <class U>
  HWY_INLINE LaneRows<U> key_rows(const HeadsView<U>& view) const {
    return rows_of(view, key_head_);
  }

  // map of [rows, width] of every lane's head.
  template <class Map>
  HWY_INLINE void gather(const HeadsView<const T>& from, std::int64_t rows, std::int64_t width, T* to,
                         const Map& map) const {
    gather_of(from, head_, rows, width, to, map);
  }

  template <class Map>
  HWY_INLINE void scatter(const T* from, std::int64_t rows, std::int64_t width, const HeadsView<T>& to,
                          const Map& map) const {
    const bool together = to.row_stride == width;
    T* row[kMostLanes];
    for (int l = 0; l < count_; ++l) row[l] = to.row(batch_[l], head_[l], 0);
    for (std::int64_t i = 0; i < (together ? 1 : rows); ++i) {
      for (int l = 0; l < count_ && i > 0; ++l) row[l] += to.row_stride;
      lanes_to_rows(D(), from + i * width * lanes_, lanes_, static_cast<int>(together ? rows * width : width), row,
                    count_, map);
    }
  }

  // Fetches the beginning of what lane l will gather and write; the rest of a longer stretch the processor foresees.
  HWY_INLINE void prefetch(int l, const HeadsView<const T>& output) const {
    const auto fetch = [&](const HeadsView<const T>& from, std::int64_t head, std::int64_t numbers) HWY_ATTR {
      const T* begin = from.row(batch_[l], head, 0);
      constexpr std::int64_t kLine = 64 / sizeof(T), kMostLines = 4;
      for (std::int64_t at = 0; at < std::min(numbers, kMostLines * kLine); at += kLine) hwy::Prefetch(begin + at);
    };
    const AttentionShape& shape = in_.shape;
    fetch(in_.query, head_[l], shape.queries * shape.width);
    fetch(in_.key, key_head_[l], shape.keys * shape.width);
    fetch(in_.value, key_head_[l], shape.keys * shape.value_width);
    fetch(output, head_[l], shape.queries * shape.value_width);
  }

  // to[head * stride + r] = values[r] for these heads and the first `rows` of kRows.
  template <int kRows, class Number>
  HWY_NOINLINE void write(const V (&values)[kRows], int rows, Number* to, std::int64_t stride) const {
    const D d;
    const auto head = [&](int l) HWY_ATTR { return to + l * stride; };
    if (rows == kRows && count_ == lanes_) {
      if constexpr (std::is_same_v<Number, T>) return store_columns(d, values, head);
      if constexpr (std::is_integral_v<Number> && sizeof(Number) == sizeof(T)) {
        const hn::RebindToSigned<D> whole;
        hn::Vec<decltype(whole)> numbers[kRows];
        for (int r = 0; r < kRows; ++r) numbers[r] = hn::ConvertTo(whole, values[r]);
        return store_columns(whole, numbers, head);
      }
      auto nothing = hn::Eq(values[0], hn::Zero(d));
      for (int r = 1; r < kRows; ++r) nothing = hn::And(nothing, hn::Eq(values[r], hn::Zero(d)));
      if (hn::AllTrue(d, nothing)) {
        for (int l = 0; l < lanes_; ++l) {
          for (int r = 0; r < kRows; ++r) head(l)[r] = Number(0);
        }
        return;
      }
    }
    for (int r = 0; r < rows; ++r) {
      HWY_ALIGN T numbers[kMostLanes];
      hn::Store(values[r], d, numbers);
      for (int l = 0; l < count_; ++l) head(l)[r] = static_cast<Number>(numbers[l]);
    }
  }

  // φ(q)·scale, φ(k) and, where not null, v. Behind a sequence's length, where anything may stand, keys and values are
  // 0.
  HWY_NOINLINE void gather_inputs(T* query, T* key, T* value) const {
    const D d;
    const AttentionShape& shape = in_.shape;
    const V scale = hn::Set(d, static_cast<T>(in_.scale));
    const auto same = [](V x) HWY_ATTR { return x; };
    const auto scaled = [&](V x) HWY_ATTR { return hn::Mul(scale, x); };
    gather_of(in_.key, key_head_, shape.keys, shape.width, key, same);
    clear_behind_lengths(key, shape.width);
    if (value != nullptr) {
      gather_of(in_.value, key_head_, shape.keys, shape.value_width, value, same);
      clear_behind_lengths(value, shape.value_width);
    }
    if (in_.form.feature == reweighting::FeatureMap::kNone) {
      gather(in_.query, shape.queries, shape.width, query, scaled);
      return;
    }
    gather(in_.query, shape.queries, shape.width, query, same);
    map_all(shape.keys * shape.width, same, key);
    map_all(shape.queries * shape.width, scaled, query);
  }

  // The keys that some of queries [i, i + rows) sees, lane by lane.
  HWY_INLINE void seen(std::int64_t i, int rows, KeyRange (&range)[kMostLanes]) const {
    const auto range_of = [&](int l) {
      const KeyRange last = visible_keys(in_, batch_[l], i + rows - 1);
      return KeyRange{std::min(visible_keys(in_, batch_[l], i).first, last.first), last.end};
    };
    std::fill_n(range, kMostLanes, range_of(0));
    if (in_.key_lengths == nullptr) return;  // the same in all lanes
    for (int l = 0; l < lanes_; ++l) range[l] = range_of(l);
  }

  // to[i] *= φ'(from[i]) for the rows of these heads, each with keys of its own.
  void times_slope(const HeadsView<const T>& from, std::int64_t rows, const HeadsView<T>& to) const {
    if (in_.form.feature == reweighting::FeatureMap::kNone) return;
    for (int l = 0; l < count_; ++l) {
      for (std::int64_t i = 0; i < rows; ++i) {
        const T* x = from.row(batch_[l], head_[l], i);
        T* due = to.row(batch_[l], head_[l], i);
        for (std::int64_t c = 0; c < in_.shape.width; ++c) {
          if (due[c] != T(0)) due[c] *= feature_slope(in_.form, x[c]);  // nothing comes to what none sees, NaN or not
        }
      }
    }
  }

  // Makes the scores of keys that query i does not see minus infinity.
  template <class Row>
  HWY_INLINE void hide(std::int64_t i, Column<T> scores, Row& row) const {
    V first, end;
    visible_to(i, first, end);
    row.add(kSpoilt, hide_outside(D(), scores, T(0), first, end));
  }

  // The first key that query i of a lane sees; -1 if none.
  std::int64_t first_seen(int lane, std::int64_t i) const {
    return first_visible_key(in_, batch_[lane], head_[lane], i);
  }

  // The lanes whose query i sees key j.
  HWY_INLINE hn::Mask<D> sees(std::int64_t i, std::int64_t j) const {
    V first, end;
    visible_to(i, first, end);
    const V key = hn::Set(D(), static_cast<T>(j));
    return hn::And(hn::Ge(key, first), hn::Lt(key, end));
  }

 private:
  // The keys [first, end) that query i sees.
  HWY_INLINE void visible_to(std::int64_t i, V& first, V& end) const {
    const D d;
    HWY_ALIGN T firsts[kMostLanes], ends[kMostLanes];
    // The same in all lanes unless lengths differ.
    const int different = in_.key_lengths != nullptr ? lanes_ : 1;
    for (int l = 0; l < different; ++l) {
      const KeyRange range = visible_keys(in_, batch_[l], i);
      firsts[l] = static_cast<T>(range.first);
      ends[l] = static_cast<T>(range.end);
    }
    first = different == 1 ? hn::Set(d, firsts[0]) : hn::Load(d, firsts);
    end = different == 1 ? hn::Set(d, ends[0]) : hn::Load(d, ends);
  }
  template <class U>
  HWY_INLINE LaneRows<U> rows_of(const HeadsView<U>& view, const std::int64_t* heads) const {
    LaneRows<U> rows;
    rows.stride = view.row_stride;
    for (int l = 0; l < lanes_; ++l) rows.first[l] = view.row(batch_[l], heads[l], 0);
    return rows;
  }
  template <class Map>
  HWY_INLINE void gather_of(const HeadsView<const T>& from, const std::int64_t* heads, std::int64_t rows,
                            std::int64_t width, T* to, const Map& map) const {
    // Rows that lie end to end are one row: short ones would not fill a strip.
    const bool together = from.row_stride == width;
    const T* row[kMostLanes];
    for (int l = 0; l < lanes_; ++l) row[l] = from.row(batch_[l], heads[l], 0);
    for (std::int64_t i = 0; i < (together ? 1 : rows); ++i) {
      for (int l = 0; l < lanes_ && i > 0; ++l) row[l] += from.row_stride;
      rows_to_lanes(D(), row, static_cast<int>(together ? rows * width : width), to + i * width * lanes_, lanes_, map);
    }
  }
  void clear_behind_lengths(T* at, std::int64_t width) const {
    if (in_.key_lengths == nullptr) return;
    for (int l = 0; l < lanes_; ++l) {
      for (std::int64_t i = key_length(in_, batch_[l]) * width; i < in_.shape.keys * width; ++i)
        at[i * lanes_ + l] = T(0);
    }
  }
  template <class Map>
  HWY_INLINE void map_all(std::int64_t vectors, const Map& map, T* at) const {
    const D d;
    for (std::int64_t i = 0; i < vectors; ++i, at += lanes_) {
      hn::Store(map(map_vector(d, in_.form, hn::Load(d, at))), d, at);
    }
  }

  const AttentionInput<T>& in_;
  int lanes_, count_;
  std::int64_t first_, batch_[kMostLanes], head_[kMostLanes], key_head_[kMostLanes];
  HWY_ALIGN T sink_[kMostLanes];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
