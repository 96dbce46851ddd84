// The forward pass of a vector of heads with few tokens each.

#if defined(POLARISCOPE_ATTENTION_TINY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_INL_H_
#endif

#include "polariscope/attention/internal/softmax_rows-inl.h"
#include "polariscope/attention/internal/tiny_heads-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <optional>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// A few rows at a time go all the way from scores to output, so that what is between stays in the first-level cache.
template <class T>
class TinyForward {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());
  static constexpr int kRows = 4;

  // Numbers of room that a vector of heads needs.
  static std::ptrdiff_t room(const AttentionShape& s) {
    const std::int64_t gathered = s.width + (in_place(s) ? 0 : s.value_width);
    return ((s.queries + s.keys) * gathered + 2 * kRows * s.keys) * kMostLanes;
  }

  // first: the first head of batch * heads; after these come those up to `end`.
  TinyForward(const AttentionInput<T>& in, std::int64_t first, std::int64_t end, T* room)
      : in_(in),
        heads_(in, first),
        lanes_(heads_.lanes()),
        queries_(static_cast<int>(in.shape.queries)),
        keys_(static_cast<int>(in.shape.keys)),
        width_(static_cast<int>(in.shape.width)),
        value_width_(static_cast<int>(in.shape.value_width)),
        in_place_(in_place(in.shape)) {
    const auto take = [&](std::ptrdiff_t vectors) {
      T* taken = room;
      room += vectors * lanes_;
      return taken;
    };
    query_ = take(queries_ * width_);
    key_ = take(keys_ * width_);
    value_ = take(in_place_ ? 0 : keys_ * value_width_);
    output_ = take(in_place_ ? 0 : queries_ * value_width_);
    scores_ = take(kRows * keys_);
    // Hidden scores say which keys are; others the weights may overwrite.
    weights_ = heads_.hides() ? take(kRows * keys_) : scores_;
    if (first + lanes_ < end) next_.emplace(in, first + lanes_);
  }

  void run(const AttentionOutput<T>& out, const Wanted& wanted) {
    heads_.gather_inputs(query_, key_, in_place_ ? nullptr : value_);
    const LaneRows<const T> values = heads_.key_rows(in_.value);
    const LaneRows<T> outputs = heads_.own_rows(out.output);
    // Keys behind lengths are left out anyway; a value of a key that a row does not see is not to be multiplied by 0.
    const bool careful = (in_.causal || in_.window > 0) && !finite_values(values);
    int fetched = 0;
    for (int i = 0; i < queries_; i += kRows) {
      const int rows = std::min(kRows, queries_ - i);
      HeldRow<D> held[kRows];
      V inverse[kRows];
      const bool weighed = weigh_rows(i, rows, wanted, held);
      for (; next_ && fetched < lanes_ * (i + rows) / queries_; ++fetched) next_->prefetch(fetched, out.output);
      write_results(i, rows, held, out, inverse);
      if (in_place_) {
        const int step = careful ? 1 : rows;  // one row has no more keys than it sees
        for (int r = 0; r < rows; r += step) weigh_values_in_place(i, r, step, inverse, values, outputs);
      } else {
        weigh_values(i, rows, inverse, weighed, careful);
      }
    }
    if (!in_place_) heads_.scatter(output_, queries_, value_width_, out.output, [](V x) HWY_ATTR { return x; });
  }

 private:
  // Whether values need not be gathered.
  static bool in_place(const AttentionShape& s) { return whole_vectors<T>(s.value_width); }

  bool finite_values(const LaneRows<const T>& values) const {
    return in_place_ ? heads_.finite_key_rows(values, value_width_)
                     : all_finite(D(), value_, 0, 1, static_cast<std::int64_t>(keys_) * value_width_ * lanes_);
  }

  // Rows [i, i + rows) from their queries to weights and sums. Returns whether values were summed with them.
  HWY_INLINE bool weigh_rows(int i, int rows, const Wanted& wanted, HeldRow<D>* held) {
    const D d;
    const T* query = query_ + i * width_ * lanes_;
    const V shift = has_sink(in_) ? heads_.sinks() : hn::Set(d, kLowest<T>);
    if (in_.form.weight == reweighting::WeightFunction::kExp) {
      Summary<V> summaries[kRows];
      for (int r = 0; r < rows; ++r) held[r].set(kSpoilt, hn::Zero(d));
      if (width_ <= kNarrow && !heads_.hides()) {
        narrow_scores(d, query, key_, rows, keys_, width_, scores_, summaries);
      } else {
        lane_product<false, true>(d, query, key_, rows, keys_, width_, scores_);
        for (int r = 0; r < rows && heads_.hides(); ++r) heads_.hide(i + r, column(r), held[r]);
        heads_.hides() ? summarise_rows<true>(d, scores_, rows, keys_, summaries)
                       : summarise_rows<false>(d, scores_, rows, keys_, summaries);
      }
      return heads_.hides() ? measure_rows<true>(i, rows, wanted, summaries, shift, held)
                            : measure_rows<false>(i, rows, wanted, summaries, shift, held);
    }
    lane_product<false, true>(d, query, key_, rows, keys_, width_, scores_);
    for (int r = 0; r < rows; ++r) weigh_row(i, r, shift, wanted, held[r]);
    return false;
  }

  template <bool kMasked>
  HWY_INLINE bool measure_rows(int i, int rows, const Wanted& wanted, const Summary<V>* summaries, const V& shift,
                               HeldRow<D>* held) {
    const D d;
    if (wanted.entropy || wanted.largest || wanted.logit_moments) {
      weigh_softmax_rows<kMasked, true>(d, scores_, weights_, rows, keys_, summaries, shift, held);
    } else {
      weigh_softmax_rows<kMasked, false>(d, scores_, weights_, rows, keys_, summaries, shift, held);
    }
    if (!wanted.skewness && !wanted.squares) return false;
    T* output = output_ + i * value_width_ * lanes_;
    const auto measure = [&]<int kValues>() HWY_ATTR {
      measure_softmax_rows<kMasked, kValues>(d, scores_, weights_, value_, rows, keys_, held, output);
      return kValues > 0;
    };
    switch (in_place_ ? 0 : value_width_) {
      case 1: return measure.template operator()<1>();
      case 2: return measure.template operator()<2>();
      case 3: return measure.template operator()<3>();
      case 4: return measure.template operator()<4>();
      default: return measure.template operator()<0>();
    }
  }

  // Of another function than the exponential.
  HWY_NOINLINE void weigh_row(int i, int r, const V& shift, const Wanted& wanted, HeldRow<D>& held) {
    const D d;
    T* weights = weights_ + r * keys_ * lanes_;
    HeldRow<D> row;
    clear_row<false>(d, row, shift);
    weigh_held(i, r, weights, wanted, row);
    const auto which = overflowed(d, in_.form.weight, row);
    if (!hn::AllFalse(d, which)) {
      const auto again = [&]() HWY_ATTR {
        lane_product<false, true>(d, query_ + (i + r) * width_ * lanes_, key_, 1, keys_, width_, column(r).data);
        clear_row<false>(d, row, shift);
      };
      again();
      if (heads_.hides()) heads_.hide(i + r, column(r), row);
      const V by = hn::IfThenElseZero(which, shift_for(d, largest_size(d, in_.form.weight, column(r), hn::Zero(d))));
      again();
      row.set(kShift, by);
      weigh_held(i, r, weights, wanted, row);
    }
    held = row;
  }
  HWY_INLINE void weigh_held(int i, int r, T* weights, const Wanted& wanted, HeldRow<D>& row) const {
    const D d;
    if (heads_.hides()) heads_.hide(i + r, column(r), row);
    with_function(in_.form.weight, [&]<class Function>() HWY_ATTR {
      if constexpr (!kIsExponential<Function>) {
        heads_.hides() ? weigh_column<Function, true, true, false>(d, column(r), weights, T(0), wanted, row)
                       : weigh_column<Function, false, true, false>(d, column(r), weights, T(0), wanted, row);
      }
    });
  }
  Column<T> column(int r) const { return {scores_ + r * keys_ * lanes_, lanes_, keys_}; }

  HWY_NOINLINE void write_results(int i, int rows, HeldRow<D> (&held)[kRows], const AttentionOutput<T>& out,
                                  V (&inverse)[kRows]) const {
    for (int r = rows; r < kRows; ++r) held[r] = held[0];
    const std::int64_t first = heads_.pair(0) * queries_;
    const auto write = [&](auto* array, const V(&values)[kRows]) HWY_ATTR {
      // As much as the next heads will write of a row.
      for (int r = 0; r < rows && next_; ++r) hwy::Prefetch(array + first + (queries_ + i + r) * lanes_);
      heads_.write(values, rows, array + first + i, queries_);
    };
    if (in_.form.weight == reweighting::WeightFunction::kExp) {
      visit_results<true>(in_, out, held, heads_.sinks(), inverse, write);
    } else {
      visit_results<false>(in_, out, held, heads_.sinks(), inverse, write);
    }
    if (out.statistics.first_visible_key != nullptr) {
      V p[kRows];
      for (int r = 0; r < kRows; ++r) p[r] = hn::Mul(first_weights(i, std::min(r, rows - 1)), inverse[r]);
      write(out.statistics.first_visible_key, p);
    }
  }
  // Of the first key that row i + r sees, i being the first that weights_ holds.
  HWY_INLINE V first_weights(int i, int r) const {
    HWY_ALIGN T weight[kMostLanes];
    for (int l = 0; l < lanes_; ++l) {
      const std::int64_t key = heads_.first_seen(l, i + r);
      weight[l] = key < 0 ? T(0) : weights_[(r * keys_ + key) * lanes_ + l];
    }
    return hn::Load(D(), weight);
  }

  HWY_INLINE void weigh_values(int i, int rows, const V (&inverse)[kRows], bool weighed, bool careful) {
    const D d;
    T* output = output_ + i * value_width_ * lanes_;
    if (careful) {
      const auto sees = [&](int r, int j) HWY_ATTR { return heads_.sees(i + r, j); };
      seen_product<false>(d, weights_, value_, rows, value_width_, keys_, sees, output);
    } else if (!weighed) {
      lane_product<false, false>(d, weights_, value_, rows, value_width_, keys_, output);
    }
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < value_width_; ++c, output += lanes_) {
        hn::Store(hn::Mul(inverse[r], hn::Load(d, output)), d, output);
      }
    }
  }
  // Of rows [i + first, i + first + rows), of which i is the first that weights_ holds.
  HWY_INLINE void weigh_values_in_place(int i, int first, int rows, const V (&inverse)[kRows],
                                        const LaneRows<const T>& values, const LaneRows<T>& outputs) {
    HWY_ALIGN T scale[kRows * kMostLanes];
    for (int r = 0; r < rows; ++r) hn::Store(inverse[first + r], D(), scale + r * lanes_);
    KeyRange seen[kMostLanes];
    heads_.seen(i + first, rows, seen);
    weigh_in_place<D>(D(), {weights_ + first * keys_ * lanes_, keys_ * lanes_, lanes_}, rows, seen, values,
                      value_width_, {scale, lanes_, 0}, outputs, i + first, heads_.count());
  }

  const AttentionInput<T>& in_;
  TinyHeads<T> heads_;
  std::optional<TinyHeads<T>> next_;
  int lanes_, queries_, keys_, width_, value_width_;
  bool in_place_;
  T *query_, *key_, *value_, *output_, *scores_, *weights_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_INL_H_
