// Many short sequences: lanes are heads rather than queries, so that no lane is idle and the cost of beginning
// and ending a row is shared by a vector of heads.

#if defined(POLARISCOPE_ATTENTION_TINY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_INL_H_
#endif

#include "polariscope/attention/internal/finish-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/transpose-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>
#include <array>
#include <variant>

HWY_BEFORE_NAMESPACE();
namespace polariscope {
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
      } else {
        four ? block.template operator()<4, 1>(r, j) : block.template operator()<1, 1>(r, j);
        ++j;
      }
    }
    r += four ? 4 : 1;
  }
}

// One vector of heads.
template <class Function, class T>
class TinyHeads {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());
  static constexpr int kMostResults = 16;

  // Numbers of room that a vector of heads needs.
  static std::ptrdiff_t room(const AttentionShape& s) {
    const std::ptrdiff_t vectors = s.queries * s.width + s.keys * (s.width + s.value_width) + 2 * s.queries * s.keys +
                                   s.queries * s.value_width + s.queries * (kMostResults + 1) + kQuantities;
    return vectors * kMostLanes;
  }

  // first: the first head of batch * heads.
  TinyHeads(const AttentionInput<T>& in, std::int64_t first, T* room)
      : in_(in),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        count_(static_cast<int>(std::min<std::int64_t>(lanes_, in.shape.batch * in.shape.heads - first))),
        queries_(static_cast<int>(in.shape.queries)),
        keys_(static_cast<int>(in.shape.keys)),
        width_(static_cast<int>(in.shape.width)),
        value_width_(static_cast<int>(in.shape.value_width)) {
    for (int l = 0; l < lanes_; ++l) {
      pair_[l] = first + std::min(l, count_ - 1);
      batch_[l] = pair_[l] / in.shape.heads;
      head_[l] = pair_[l] % in.shape.heads;
      sink_[l] = sink_score(in, head_[l]);
    }
    const auto take = [&](std::ptrdiff_t vectors) {
      T* taken = room;
      room += vectors * lanes_;
      return taken;
    };
    query_ = take(queries_ * width_);
    key_ = take(keys_ * width_);
    value_ = take(keys_ * value_width_);
    scores_ = take(queries_ * keys_);
    weights_ = take(queries_ * keys_);
    output_ = take(queries_ * value_width_);
    results_ = take(queries_ * kMostResults);
    inverse_ = take(queries_);
    running_ = take(kQuantities);
  }

  void forward(const AttentionOutput<T>& out, const Wanted& wanted) {
    const D d;
    const V scale = hn::Set(d, static_cast<T>(in_.scale));
    const auto group = in_.shape.heads / in_.shape.key_heads;
    gather(in_.query, 1, queries_, width_, query_,
           [&](V x) HWY_ATTR { return hn::Mul(scale, map_vector(d, in_.form, x)); });
    gather(in_.key, group, keys_, width_, key_, [&](V x) HWY_ATTR { return map_vector(d, in_.form, x); });
    gather(in_.value, group, keys_, value_width_, value_, [](V x) HWY_ATTR { return x; });
    lane_product<D>(d, {query_, width_, 1}, {key_, 1, width_}, queries_, keys_, width_, {scores_, keys_, 1});
    for (int i = 0; i < queries_; ++i) weigh_row(i, out, wanted);
    lane_product<D>(d, {weights_, keys_, 1}, {value_, value_width_, 1}, queries_, value_width_, keys_,
                    {output_, value_width_, 1});
    for (int i = 0; i < queries_; ++i) {
      const V inverse = hn::Load(d, inverse_ + i * lanes_);
      for (int c = 0; c < value_width_; ++c) {
        T* at = output_ + (i * value_width_ + c) * lanes_;
        hn::Store(hn::Mul(inverse, hn::Load(d, at)), d, at);
      }
    }
    scatter(out.output);
    write_results();
  }

 private:
  // [rows, width] of every lane's head; heads share those of key heads by groups.
  template <class Map>
  HWY_INLINE void gather(const HeadsView<const T>& from, std::int64_t group, int rows, int width, T* to,
                         const Map& map) const {
    // Rows that lie end to end are one row: short ones would not fill a strip.
    const bool together = from.row_stride == width;
    const T* row[kMostLanes];
    for (int i = 0; i < (together ? 1 : rows); ++i) {
      for (int l = 0; l < lanes_; ++l) row[l] = from.row(batch_[l], head_[l] / group, i);
      rows_to_lanes(D(), row, together ? rows * width : width, to + i * width * lanes_, lanes_, map);
    }
  }

  HWY_INLINE void scatter(const HeadsView<T>& to) const {
    const bool together = to.row_stride == value_width_;
    T* row[kMostLanes];
    for (int i = 0; i < (together ? 1 : queries_); ++i) {
      for (int l = 0; l < count_; ++l) row[l] = to.row(batch_[l], head_[l], i);
      lanes_to_rows(D(), output_ + i * value_width_ * lanes_, lanes_, together ? queries_ * value_width_ : value_width_,
                    row, count_, [](V x) HWY_ATTR { return x; });
    }
  }

  // Keys [first, end) that query i of each lane sees; the same in all lanes unless lengths differ.
  HWY_INLINE void see(int i, V& first, V& end) const {
    const D d;
    HWY_ALIGN T firsts[kMostLanes], ends[kMostLanes];
    const int different = in_.key_lengths != nullptr ? lanes_ : 1;
    for (int l = 0; l < different; ++l) {
      const KeyRange seen = visible_keys(in_, batch_[l], i);
      firsts[l] = static_cast<T>(seen.first);
      ends[l] = static_cast<T>(seen.end);
    }
    first = different == 1 ? hn::Set(d, firsts[0]) : hn::Load(d, firsts);
    end = different == 1 ? hn::Set(d, ends[0]) : hn::Load(d, ends);
  }

  HWY_INLINE void weigh_row(int i, const AttentionOutput<T>& out, const Wanted& wanted) {
    const D d;
    const Running<D> row(running_, lanes_);
    V first = hn::Zero(d), end = hn::Set(d, static_cast<T>(keys_));
    const bool hides = in_.causal || in_.window > 0 || in_.key_lengths != nullptr;
    if (hides) see(i, first, end);
    const V sinks = hn::Load(d, sink_);
    clear_row<Function>(d, row, has_sink(in_) ? sinks : hn::Set(d, kLowest<T>));
    const Column<T> column{scores_ + i * keys_ * lanes_, lanes_, keys_};
    T* weights = weights_ + i * keys_ * lanes_;
    if (hides) {
      hide_outside(d, column, T(0), first, end, row);
      weigh<Function, true>(d, column, weights, T(0), wanted, row);
    } else {
      weigh<Function, false>(d, column, weights, T(0), wanted, row);
    }
    found_ = 0;
    const auto keep = [&](auto* array, V values) HWY_ATTR {
      arrays_[found_] = array;
      hn::Store(values, d, results_ + (found_ * queries_ + i) * lanes_);
      ++found_;
    };
    hn::Store(visit_results<Function>(in_, out, row, sinks, keep), d, inverse_ + i * lanes_);
  }

  // From [queries, lanes] of each array to [heads, queries].
  HWY_INLINE void write_results() {
    const D d;
    const auto same = [](V x) HWY_ATTR { return x; };
    for (int n = 0; n < found_; ++n) {
      const T* from = results_ + n * queries_ * lanes_;
      std::visit(
          [&](auto* array) HWY_ATTR {
            using Number = std::remove_pointer_t<decltype(array)>;
            T* rows[kMostLanes];
            constexpr bool kConverted = !std::is_same_v<Number, T>;
            for (int l = 0; l < count_; ++l) {
              if constexpr (kConverted) {
                rows[l] = scores_ + l * queries_;  // which are done with
              } else {
                rows[l] = array + pair_[l] * queries_;
              }
            }
            lanes_to_rows(d, from, lanes_, queries_, rows, count_, same);
            if constexpr (kConverted) {
              for (int l = 0; l < count_; ++l) {
                std::transform(rows[l], rows[l] + queries_, array + pair_[l] * queries_,
                               [](T x) { return static_cast<Number>(x); });
              }
            }
          },
          arrays_[n]);
    }
  }

  const AttentionInput<T>& in_;
  int lanes_, count_, queries_, keys_, width_, value_width_;
  std::int64_t pair_[kMostLanes], batch_[kMostLanes], head_[kMostLanes];
  HWY_ALIGN T sink_[kMostLanes];
  T *query_, *key_, *value_, *scores_, *weights_, *output_, *results_, *inverse_, *running_;
  std::array<std::variant<T*, std::int32_t*, std::uint8_t*>, kMostResults> arrays_;
  int found_ = 0;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_INL_H_
