// Many short sequences: lanes are heads rather than queries, so that no lane is idle and the cost of beginning
// and ending a row is shared by a vector of heads. Here what both directions share.

#if defined(POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/transpose-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// Matrices of vectors: element (r, s) at data + (r * row + s * step) vectors.
template <class T>
struct LaneMatrix {
  T* data;
  std::ptrdiff_t row, step;
};

template <int kRows, int kColumns, class D, class T = hn::TFromD<D>>
HWY_INLINE void lane_block(D d, LaneMatrix<const T> a, LaneMatrix<const T> b, int steps, LaneMatrix<T> c) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  hn::Vec<D> sum[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::Zero(d);
  }
  for (int s = 0; s < steps; ++s) {
    hn::Vec<D> column[kColumns];
    for (int j = 0; j < kColumns; ++j) column[j] = hn::Load(d, b.data + (s * b.row + j * b.step) * lanes);
    for (int r = 0; r < kRows; ++r) {
      const hn::Vec<D> one = hn::Load(d, a.data + (r * a.row + s * a.step) * lanes);
      for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::MulAdd(one, column[j], sum[r][j]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kColumns; ++j) hn::Store(sum[r][j], d, c.data + (r * c.row + j * c.step) * lanes);
  }
}

// C = A B, lane by lane; C is [rows, columns].
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void lane_product(D d, LaneMatrix<const T> a, LaneMatrix<const T> b, int rows, int columns, int steps,
                               LaneMatrix<T> c) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const auto block = [&]<int kRows, int kColumns>(int r, int j) HWY_ATTR {
    lane_block<kRows, kColumns>(d, LaneMatrix<const T>{a.data + r * a.row * lanes, a.row, a.step},
                                LaneMatrix<const T>{b.data + j * b.step * lanes, b.row, b.step}, steps,
                                LaneMatrix<T>{c.data + (r * c.row + j * c.step) * lanes, c.row, c.step});
  };
  for (int r = 0; r < rows;) {
    const bool four = r + 4 <= rows;
    for (int j = 0; j < columns;) {
      if (j + 4 <= columns) {
        four ? block.template operator()<4, 4>(r, j) : block.template operator()<1, 4>(r, j);
        j += 4;
      } else if (j + 2 <= columns) {
        four ? block.template operator()<4, 2>(r, j) : block.template operator()<1, 2>(r, j);
        j += 2;
      } else {
        four ? block.template operator()<4, 1>(r, j) : block.template operator()<1, 1>(r, j);
        ++j;
      }
    }
    r += four ? 4 : 1;
  }
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
        count_(static_cast<int>(std::min<std::int64_t>(lanes_, in.shape.batch * in.shape.heads - first))) {
    for (int l = 0; l < lanes_; ++l) {
      pair_[l] = first + std::min(l, count_ - 1);
      batch_[l] = pair_[l] / in.shape.heads;
      head_[l] = pair_[l] % in.shape.heads;
      sink_[l] = sink_score(in, head_[l]);
    }
  }

  int lanes() const { return lanes_; }
  int count() const { return count_; }  // lanes beyond it repeat the last head
  std::int64_t pair(int lane) const { return pair_[lane]; }
  HWY_INLINE V sinks() const { return hn::Load(D(), sink_); }
  bool hides() const { return in_.causal || in_.window > 0 || in_.key_lengths != nullptr; }

  // map of [rows, width] of every lane's head; heads share those of key heads by groups.
  template <class Map>
  HWY_INLINE void gather(const HeadsView<const T>& from, std::int64_t group, std::int64_t rows, std::int64_t width,
                         T* to, const Map& map) const {
    // Rows that lie end to end are one row: short ones would not fill a strip.
    const bool together = from.row_stride == width;
    const T* row[kMostLanes];
    for (std::int64_t i = 0; i < (together ? 1 : rows); ++i) {
      for (int l = 0; l < lanes_; ++l) row[l] = from.row(batch_[l], head_[l] / group, i);
      rows_to_lanes(D(), row, static_cast<int>(together ? rows * width : width), to + i * width * lanes_, lanes_, map);
    }
  }

  template <class Map>
  HWY_INLINE void scatter(const T* from, std::int64_t rows, std::int64_t width, const HeadsView<T>& to,
                          const Map& map) const {
    const bool together = to.row_stride == width;
    T* row[kMostLanes];
    for (std::int64_t i = 0; i < (together ? 1 : rows); ++i) {
      for (int l = 0; l < count_; ++l) row[l] = to.row(batch_[l], head_[l], i);
      lanes_to_rows(D(), from + i * width * lanes_, lanes_, static_cast<int>(together ? rows * width : width), row,
                    count_, map);
    }
  }

  // φ(q)·scale, φ(k) and v.
  HWY_INLINE void gather_inputs(T* query, T* key, T* value) const {
    const D d;
    const AttentionShape& shape = in_.shape;
    const V scale = hn::Set(d, static_cast<T>(in_.scale));
    const auto group = shape.heads / shape.key_heads;
    gather(in_.query, 1, shape.queries, shape.width, query,
           [&](V x) HWY_ATTR { return hn::Mul(scale, map_vector(d, in_.form, x)); });
    gather(in_.key, group, shape.keys, shape.width, key, [&](V x) HWY_ATTR { return map_vector(d, in_.form, x); });
    gather(in_.value, group, shape.keys, shape.value_width, value, [](V x) HWY_ATTR { return x; });
  }

  // to[i] *= φ'(from[i]) for the rows of these heads, each with keys of its own.
  void times_slope(const HeadsView<const T>& from, std::int64_t rows, const HeadsView<T>& to) const {
    if (in_.form.feature == reweighting::FeatureMap::kNone) return;
    for (int l = 0; l < count_; ++l) {
      for (std::int64_t i = 0; i < rows; ++i) {
        const T* x = from.row(batch_[l], head_[l], i);
        T* due = to.row(batch_[l], head_[l], i);
        for (std::int64_t c = 0; c < in_.shape.width; ++c) due[c] *= feature_slope(in_.form, x[c]);
      }
    }
  }

  // Makes the scores of keys that query i does not see minus infinity.
  template <class Row>
  HWY_INLINE void hide(std::int64_t i, Column<T> scores, Row& row) const {
    const D d;
    HWY_ALIGN T firsts[kMostLanes], ends[kMostLanes];
    // The same in all lanes unless lengths differ.
    const int different = in_.key_lengths != nullptr ? lanes_ : 1;
    for (int l = 0; l < different; ++l) {
      const KeyRange seen = visible_keys(in_, batch_[l], i);
      firsts[l] = static_cast<T>(seen.first);
      ends[l] = static_cast<T>(seen.end);
    }
    const V first = different == 1 ? hn::Set(d, firsts[0]) : hn::Load(d, firsts);
    const V end = different == 1 ? hn::Set(d, ends[0]) : hn::Load(d, ends);
    hide_outside(d, scores, T(0), first, end, row);
  }

 private:
  const AttentionInput<T>& in_;
  int lanes_, count_;
  std::int64_t pair_[kMostLanes], batch_[kMostLanes], head_[kMostLanes];
  HWY_ALIGN T sink_[kMostLanes];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_HEADS_INL_H_
