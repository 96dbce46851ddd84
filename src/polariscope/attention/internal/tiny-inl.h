// The forward pass of a vector of heads with few tokens each.

#if defined(POLARISCOPE_ATTENTION_TINY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_INL_H_
#endif

#include "polariscope/attention/internal/tiny_heads-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>
#include <array>
#include <variant>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

template <class Function, class T>
class TinyForward {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());
  static constexpr int kMostResults = 16;

  // Numbers of room that a vector of heads needs.
  static std::ptrdiff_t room(const AttentionShape& s) {
    const std::ptrdiff_t vectors = s.queries * s.width + s.keys * (s.width + s.value_width) + 2 * s.queries * s.keys +
                                   s.queries * s.value_width + s.queries * (kMostResults + 1);
    return vectors * kMostLanes;
  }

  // first: the first head of batch * heads.
  TinyForward(const AttentionInput<T>& in, std::int64_t first, T* room)
      : in_(in),
        heads_(in, first),
        lanes_(heads_.lanes()),
        queries_(static_cast<int>(in.shape.queries)),
        keys_(static_cast<int>(in.shape.keys)),
        width_(static_cast<int>(in.shape.width)),
        value_width_(static_cast<int>(in.shape.value_width)) {
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
  }

  void run(const AttentionOutput<T>& out, const Wanted& wanted) {
    const D d;
    heads_.gather_inputs(query_, key_, value_);
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
    heads_.scatter(output_, queries_, value_width_, out.output, [](V x) HWY_ATTR { return x; });
    write_results();
  }

 private:
  HWY_INLINE void weigh_row(int i, const AttentionOutput<T>& out, const Wanted& wanted) {
    const D d;
    HeldRow<D> row;
    const V sinks = heads_.sinks();
    clear_row<Function>(d, row, has_sink(in_) ? sinks : hn::Set(d, kLowest<T>));
    const Column<T> column{scores_ + i * keys_ * lanes_, lanes_, keys_};
    T* weights = weights_ + i * keys_ * lanes_;
    if (heads_.hides()) {
      heads_.hide(i, column, row);
      weigh_column<Function, true, true, false>(d, column, weights, T(0), wanted, row);
    } else {
      weigh_column<Function, false, true, false>(d, column, weights, T(0), wanted, row);
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
            for (int l = 0; l < heads_.count(); ++l) {
              if constexpr (kConverted) {
                rows[l] = scores_ + l * queries_;  // which are done with
              } else {
                rows[l] = array + heads_.pair(l) * queries_;
              }
            }
            lanes_to_rows(d, from, lanes_, queries_, rows, heads_.count(), same);
            if constexpr (kConverted) {
              for (int l = 0; l < heads_.count(); ++l) {
                std::transform(rows[l], rows[l] + queries_, array + heads_.pair(l) * queries_,
                               [](T x) { return static_cast<Number>(x); });
              }
            }
          },
          arrays_[n]);
    }
  }

  const AttentionInput<T>& in_;
  TinyHeads<T> heads_;
  int lanes_, queries_, keys_, width_, value_width_;
  T *query_, *key_, *value_, *scores_, *weights_, *output_, *results_, *inverse_;
  std::array<std::variant<T*, std::int32_t*, std::uint8_t*>, kMostResults> arrays_;
  int found_ = 0;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_INL_H_
