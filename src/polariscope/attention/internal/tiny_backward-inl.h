// The backward pass of a vector of heads with few tokens each, every one with keys of its own.

#if defined(POLARISCOPE_ATTENTION_TINY_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TINY_BACKWARD_INL_H_
#undef POLARISCOPE_ATTENTION_TINY_BACKWARD_INL_H_
#else
#define POLARISCOPE_ATTENTION_TINY_BACKWARD_INL_H_
#endif

#include "polariscope/attention/internal/backward-inl.h"
#include "polariscope/attention/internal/tiny_heads-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

template <class T>
class TinyBackward {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static constexpr int kMostLanes = hn::MaxLanes(D());

  // Numbers of room that a vector of heads needs.
  static std::ptrdiff_t room(const AttentionShape& s) {
    const std::ptrdiff_t vectors = 2 * s.queries * s.width + 2 * s.keys * (s.width + s.value_width) +
                                   2 * s.queries * s.value_width + 2 * s.queries * s.keys;
    return vectors * kMostLanes;
  }

  // first: the first head of batch * heads.
  TinyBackward(const AttentionInput<T>& in, std::int64_t first, T* room)
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
    output_ = take(queries_ * value_width_);
    d_output_ = take(queries_ * value_width_);
    probability_ = take(queries_ * keys_);
    d_score_ = take(queries_ * keys_);
    d_query_ = take(queries_ * width_);
    d_key_ = take(keys_ * width_);
    d_value_ = take(keys_ * value_width_);
  }

  // due: [heads of the vector], to be added to.
  void run(const AttentionOutput<T>& forward, const HeadsView<const T>& d_output,
           const RowStatisticsGradient<T>& upstream, const AttentionGradient<T>& gradient, SharedDue* due) {
    const D d;
    const auto same = [](V x) HWY_ATTR { return x; };
    heads_.gather_inputs(query_, key_, value_);
    heads_.gather(forward.output, queries_, value_width_, output_, same);
    heads_.gather(d_output, queries_, value_width_, d_output_, same);
    lane_product<false, true>(d, query_, key_, queries_, keys_, width_, probability_);
    lane_product<false, true>(d, d_output_, value_, queries_, keys_, value_width_, d_score_);
    for (int i = 0; i < queries_; ++i) differentiate_row(i, forward, upstream, due);
    careful_ = heads_.hides() && !finite_inputs();
    const bool in_place = !careful_ && in_.form.feature == reweighting::FeatureMap::kNone && whole_vectors<T>(width_);
    if (gradient.query.data != nullptr) in_place ? push_queries_in_place(gradient.query) : push_queries(gradient.query);
    if (gradient.key.data != nullptr) in_place ? push_keys_in_place(gradient.key) : push_keys(gradient.key);
    if (gradient.value.data != nullptr) {
      !careful_&& whole_vectors<T>(value_width_) ? push_values_in_place(d_output, gradient.value)
                                                 : push_values(gradient.value);
    }
  }

 private:
  // Whether what the products read is; keys and values behind lengths are 0.
  bool finite_inputs() const {
    return all_finite(D(), key_, 0, 1, keys_ * width_ * lanes_) &&
           all_finite(D(), query_, 0, 1, queries_ * width_ * lanes_) &&
           all_finite(D(), d_output_, 0, 1, queries_ * value_width_ * lanes_);
  }

  HWY_INLINE void differentiate_row(int i, const AttentionOutput<T>& forward, const RowStatisticsGradient<T>& upstream,
                                    SharedDue* due) const {
    const D d;
    V dot = hn::Zero(d);
    for (int c = 0; c < value_width_; ++c) {
      const std::ptrdiff_t at = (i * value_width_ + c) * lanes_;
      dot = hn::MulAdd(hn::Load(d, output_ + at), hn::Load(d, d_output_ + at), dot);
    }
    const auto rows = [&](const auto* array) HWY_ATTR {
      HWY_ALIGN T buffer[kMostLanes];
      if (array == nullptr) return hn::Zero(D());
      for (int l = 0; l < lanes_; ++l) buffer[l] = static_cast<T>(array[heads_.pair(l) * queries_ + i]);
      return hn::Load(D(), buffer);
    };
    const RowGradient<V> row = row_gradient<T>(in_, forward, upstream, rows, dot);
    add_shared(row, due);
    const Column<T> scores{probability_ + i * keys_ * lanes_, lanes_, keys_};
    T* pulled = d_score_ + i * keys_ * lanes_;
    for (int l = 0; upstream.first_visible_key != nullptr && l < lanes_; ++l) {
      const std::int64_t key = heads_.first_seen(l, i);
      if (key >= 0) pulled[key * lanes_ + l] += upstream.first_visible_key[heads_.pair(l) * queries_ + i];
    }
    const auto apply = [&]<bool kMasked>() HWY_ATTR {
      const auto linear = [](V, V dz) HWY_ATTR { return dz; };
      with_function(in_.form.weight, [&]<class Function>() HWY_ATTR {
        row.any_statistic ? differentiate<Function, kMasked, true>(row, scores, pulled, T(0), linear)
                          : differentiate<Function, kMasked, false>(row, scores, pulled, T(0), linear);
      });
    };
    if (heads_.hides()) {
      HeldRow<D> state;
      state.set(kSpoilt, hn::Zero(d));
      heads_.hide(i, scores, state);
      apply.template operator()<true>();
    } else {
      apply.template operator()<false>();
    }
  }

  HWY_INLINE void add_shared(const RowGradient<V>& row, SharedDue* due) const {
    if (has_sink(in_)) {
      double of_sink[kMostLanes] = {};
      add_sink_gradients<T>(in_.form.weight, heads_.sinks(), row, heads_.count(), of_sink);
      for (int l = 0; l < heads_.count(); ++l) due[l].sink += of_sink[l];
    }
    if (of_normaliser(in_.form, due[0]) == nullptr) return;
    HWY_ALIGN T of_row[kMostLanes];
    hn::Store(row.normaliser, D(), of_row);
    for (int l = 0; l < heads_.count(); ++l) *of_normaliser(in_.form, due[l]) += of_row[l];
  }

  // What queries, keys and values are due: lanes transposed back to rows.
  void push_queries(const HeadsView<T>& to) {
    const V scale = hn::Set(D(), static_cast<T>(in_.scale));
    multiply<false>(d_score_, key_, queries_, width_, keys_, d_query_);
    heads_.scatter(d_query_, queries_, width_, to, [&](V x) HWY_ATTR { return hn::Mul(scale, x); });
    heads_.times_slope(in_.query, queries_, to);
  }
  void push_keys(const HeadsView<T>& to) {
    multiply<true>(d_score_, query_, keys_, width_, queries_, d_key_);
    heads_.scatter(d_key_, keys_, width_, to, [](V x) HWY_ATTR { return x; });
    heads_.times_slope(in_.key, keys_, to);
  }
  void push_values(const HeadsView<T>& to) {
    multiply<true>(probability_, d_output_, keys_, value_width_, queries_, d_value_);
    heads_.scatter(d_value_, keys_, value_width_, to, [](V x) HWY_ATTR { return x; });
  }

  // kOfKeys: the rows of C are keys, the steps queries.
  template <bool kOfKeys>
  void multiply(const T* a, const T* b, int rows, int columns, int steps, T* c) const {
    if (!careful_) return lane_product<kOfKeys, false>(D(), a, b, rows, columns, steps, c);
    const auto sees = [&](int r, int s) HWY_ATTR { return kOfKeys ? heads_.sees(s, r) : heads_.sees(r, s); };
    seen_product<kOfKeys>(D(), a, b, rows, columns, steps, sees, c);
  }

  // The same, of rows where they lie.
  void push_queries_in_place(const HeadsView<T>& to) const {
    constexpr int kRows = 4;
    HWY_ALIGN T scale[kMostLanes];
    std::fill_n(scale, lanes_, static_cast<T>(in_.scale));
    const LaneRows<const T> keys = heads_.key_rows(in_.key);
    const LaneRows<T> due = heads_.own_rows(to);
    for (int i = 0; i < queries_; i += kRows) {
      const int rows = std::min(kRows, queries_ - i);
      KeyRange seen[kMostLanes];
      heads_.seen(i, rows, seen);
      weigh_in_place<D>(D(), {d_score_ + i * keys_ * lanes_, keys_ * lanes_, lanes_}, rows, seen, keys, width_,
                        {scale, 0, 0}, due, i, heads_.count());
    }
  }
  void push_keys_in_place(const HeadsView<T>& to) {
    const V scale = hn::Set(D(), static_cast<T>(in_.scale));
    const LaneRows<const T> queries = heads_.own_rows(in_.query);
    LaneRows<const T> scaled{.first = {}, .stride = width_};
    T* at = query_;  // which are done with
    for (int l = 0; l < heads_.count(); ++l) {
      scaled.first[l] = at;
      for (int i = 0; i < queries_; ++i, at += width_) {
        for (int c = 0; c < width_; c += lanes_) {
          hn::Store(hn::Mul(scale, hn::LoadU(D(), queries.first[l] + i * queries.stride + c)), D(), at + c);
        }
      }
    }
    push_columns(d_score_, scaled, width_, to);
  }
  void push_values_in_place(const HeadsView<const T>& d_output, const HeadsView<T>& to) const {
    push_columns(probability_, heads_.own_rows(d_output), value_width_, to);
  }
  // What the columns of a matrix [queries, keys] make of the queries' rows.
  void push_columns(const T* matrix, const LaneRows<const T>& rows, int width, const HeadsView<T>& to) const {
    HWY_ALIGN T one[kMostLanes];
    KeyRange all[kMostLanes];
    std::fill_n(one, lanes_, T(1));
    std::fill_n(all, lanes_, KeyRange{0, queries_});
    weigh_in_place<D>(D(), {matrix, lanes_, keys_ * lanes_}, keys_, all, rows, width, {one, 0, 0}, heads_.own_rows(to),
                      0, heads_.count());
  }

  const AttentionInput<T>& in_;
  TinyHeads<T> heads_;
  int lanes_, queries_, keys_, width_, value_width_;
  bool careful_ = false;
  T *query_, *key_, *value_, *output_, *d_output_, *probability_, *d_score_, *d_query_, *d_key_, *d_value_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TINY_BACKWARD_INL_H_
