// The backward pass of one block of queries over all its keys, by recomputation. With p = w/n, the upstream
// gradient g_j of p_j (through the output and the statistics of p) and c = ∂n/∂(Σw):
//
//   g_j  = dO·v_j + 2 g_F p_j + g_max sign(p_j) [j = j*] + g_first [j = 0] + g_visible [j = j₀]
//   dw_j = (g_j - c Σ_i g_i p_i)/n - g_H (log π_j + H) sign(w_j)/Σ|w|,    π = |w|/Σ|w|
//   dz_j = f'(z_j) dw_j + g_lse p_j + (g_μ + 2 g_var (z_j - μ))/n_visible
//
// Σ g p needs no pass of its own: it is dO·O + 2 g_F Σp² + g_max max|p| + g_first p_0 + g_visible p_j₀, j₀ the first
// key that the row sees.

#if defined(POLARISCOPE_ATTENTION_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#undef POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#else
#define POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/first_visible-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/unseen-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>
#include <numeric>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Numbers of a row that its dz needs, a vector of queries each.
template <class V>
struct RowGradient {
  V shift, inverse;
  V coupled;                   // c Σ g p
  V normaliser;                // what is due to the normaliser's parameter
  V squares, largest, first;   // 2 g_F, g_max, g_first
  V entropy, entropy_at;       // g_H/Σ|w|;  H - log Σ|w|
  V log_sum_exp;               // g_lse
  V logit, logit_slope, mean;  // g_μ/n, 2 g_var/n, μ
  V argmax;
  bool any_statistic;
};

// Entries from `at` of an array of T or integers; lanes beyond `count` repeat the last, as queries do. 0 for null.
template <class T, class Number, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> load_rows(const Number* array, std::int64_t at, int count) {
  const D d;
  T buffer[hn::MaxLanes(D())] = {};
  for (int q = 0; array != nullptr && q < static_cast<int>(hn::MaxLanes(d)); ++q) {
    buffer[q] = static_cast<T>(array[at + std::min(q, count - 1)]);
  }
  return hn::LoadU(d, buffer);
}

// Σ of the first `count` lanes.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE double sum_of_first(D d, hn::Vec<D> x, int count) {
  T buffer[hn::MaxLanes(D())];
  hn::StoreU(x, d, buffer);
  double sum = 0.0;
  for (int l = 0; l < count; ++l) sum += buffer[l];
  return sum;
}

// rows(array): the entries of these rows, zeros for null. output_dot: dO·O.
template <class T, class Rows, class D = hn::ScalableTag<T>>
HWY_INLINE RowGradient<hn::Vec<D>> row_gradient(const AttentionInput<T>& in, const AttentionOutput<T>& forward,
                                                const RowStatisticsGradient<T>& upstream, const Rows& rows,
                                                hn::Vec<D> output_dot) {
  using V = hn::Vec<D>;
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const RowStatistics<T>& is = forward.statistics;
  RowGradient<V> row{};
  row.shift = rows(forward.shift);
  row.inverse = rows(forward.inverse);
  row.squares = hn::Mul(hn::Set(d, 2), rows(upstream.sum_of_squares));
  row.largest = rows(upstream.maximum);
  row.first = rows(upstream.first_key);
  row.argmax = is.argmax != nullptr && upstream.maximum != nullptr ? rows(is.argmax) : hn::Set(d, -1);

  const V unit = unit_of(d, in.form.weight, row.shift);
  V pulled = output_dot;
  if (upstream.sum_of_squares != nullptr) pulled = hn::MulAdd(row.squares, rows(is.sum_of_squares), pulled);
  if (upstream.maximum != nullptr) pulled = hn::MulAdd(row.largest, rows(is.maximum), pulled);
  if (upstream.first_key != nullptr) pulled = hn::MulAdd(row.first, rows(is.first_key), pulled);
  if (upstream.first_visible_key != nullptr) {
    pulled = hn::MulAdd(rows(upstream.first_visible_key), rows(is.first_visible_key), pulled);
  }
  row.normaliser = zero;
  switch (in.form.normaliser) {
    case reweighting::Normaliser::kSum:
    case reweighting::Normaliser::kSumAndSink:
      row.coupled = pulled;
      row.normaliser = hn::Neg(hn::Mul(pulled, hn::Mul(row.inverse, unit)));
      break;
    case reweighting::Normaliser::kMax1: {
      // n > 1 where 1/n < 1; n itself is |Σw|, whose sign is that of Σw.
      const auto bound = hn::Lt(hn::Mul(row.inverse, unit), one);
      row.coupled = hn::IfThenElseZero(bound, hn::CopySign(pulled, hn::Mul(pulled, rows(is.row_sum))));
      break;
    }
    case reweighting::Normaliser::kCount:
      row.normaliser = hn::Neg(hn::Mul(pulled, hn::Log(d, hn::Max(rows(is.visible), one))));
      row.coupled = zero;
      break;
    case reweighting::Normaliser::kNone: row.coupled = zero; break;
  }
  if (upstream.entropy != nullptr) {
    const V mass = hn::Max(rows(forward.mass), hn::Set(d, std::numeric_limits<T>::min()));
    row.entropy = hn::Div(rows(upstream.entropy), mass);
    row.entropy_at = hn::Sub(rows(is.entropy), hn::Log(d, mass));
  } else {
    row.entropy = row.entropy_at = zero;
  }
  row.log_sum_exp = rows(upstream.log_sum_exp);
  row.logit = row.logit_slope = row.mean = zero;
  // A mean that overflowed is felt by the variance alone.
  if (upstream.logit_variance != nullptr) row.mean = rows(is.logit_mean);
  if (upstream.logit_mean != nullptr || upstream.logit_variance != nullptr) {
    const V visible = hn::Max(rows(is.visible), one);
    row.logit = hn::Div(rows(upstream.logit_mean), visible);
    row.logit_slope = hn::Div(hn::Mul(hn::Set(d, 2), rows(upstream.logit_variance)), visible);
  }
  row.any_statistic = upstream.entropy != nullptr || upstream.sum_of_squares != nullptr ||
                      upstream.maximum != nullptr || upstream.first_key != nullptr || upstream.log_sum_exp != nullptr ||
                      upstream.logit_mean != nullptr || upstream.logit_variance != nullptr;
  return row;
}

// What comes to p_j through the statistics of p but the entropy, and through the output (`pulled`).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V upstream_of_powers(D d, const RowGradient<V>& row, V p, V key, V pulled) {
  V g = hn::MulAdd(row.squares, p, pulled);
  g = hn::Add(g, hn::IfThenElseZero(hn::Eq(key, row.argmax), hn::CopySign(row.largest, hn::Mul(row.largest, p))));
  return hn::Add(g, hn::IfThenElseZero(hn::Eq(key, hn::Zero(d)), row.first));
}

// g_H (log |w| + H - log Σ|w|) sign(w)/Σ|w|, which the entropy takes from dw. Nothing comes of weights that are zero.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V entropy_pull(D d, const RowGradient<V>& row, V w, V log) {
  const V pull = hn::Mul(row.entropy, hn::Add(log, row.entropy_at));
  return hn::IfThenElseZero(hn::Ne(w, hn::Zero(d)), hn::CopySign(pull, hn::Mul(pull, w)));
}
// Below it e^x is taken for zero (exp-inl.h).
template <class T>
inline constexpr T kLeastLog = sizeof(T) == 4 ? T(-87) : T(-708);
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_of(D d, V size) {
  return hn::Log(d, hn::Max(size, hn::Set(d, std::numeric_limits<hn::TFromD<D>>::min())));
}

// What comes to p_j in all, for the rules of a whole row.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V upstream_of(D d, const RowGradient<V>& row, V p, V key, V pulled) {
  return hn::Sub(upstream_of_powers(d, row, p, key, pulled), entropy_pull(d, row, p, log_of(d, p)));
}

// One column of a tile: scores become p, and dO·v becomes ds = slope(z, dz), slope being that of the transform.
template <class Function, bool kMasked, bool kStatistics, class T, class Slope, class D = hn::ScalableTag<T>>
HWY_NOINLINE void differentiate(const RowGradient<hn::Vec<D>>& row, Column<T> scores, T* pulled, T key_0,
                                const Slope& slope) {
  using V = hn::Vec<D>;
  constexpr bool kExponential = kIsExponential<Function>;
  const D d;
  const V by = kExponential ? hn::Set(d, 1) : lowering(d, row.shift);
  for (int j = 0; j < scores.keys; ++j) {
    T* at = scores.data + j * scores.stride;
    T* to = pulled + j * scores.stride;
    const V z = hn::Load(d, at);
    const V x = hn::Sub(z, row.shift);
    LoweredWeight<V> f;
    if constexpr (kExponential) {
      f.weight = f.slope = exp_below(d, x);
    } else {
      f = lowered<Function>(d, z, by);
    }
    const V w = f.weight;
    const V p = hn::Mul(w, row.inverse);
    V g = hn::Load(d, to);
    if constexpr (kStatistics) g = upstream_of_powers(d, row, p, hn::Set(d, key_0 + static_cast<T>(j)), g);
    V dw = hn::Mul(hn::Sub(g, row.coupled), row.inverse);
    if constexpr (kStatistics) {
      const V log = kExponential ? hn::Max(x, hn::Set(d, kLeastLog<T>)) : log_of(d, hn::Abs(w));
      dw = hn::Sub(dw, entropy_pull(d, row, w, log));
    }
    V dz = hn::Mul(f.slope, dw);
    if constexpr (kStatistics) {
      dz = hn::MulAdd(row.log_sum_exp, p, dz);
      dz = hn::Add(dz, hn::MulAdd(row.logit_slope, hn::Sub(z, row.mean), row.logit));
    }
    hn::Store(kept<kMasked>(d, z, p), d, at);
    hn::Store(kept<kMasked>(d, z, slope(z, dz)), d, to);
  }
}

// What the blocks of every form share: dO and the queries in the layouts of the products, the products
// themselves, and the end.
template <class T>
class BackwardBlock {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  BackwardBlock(const AttentionInput<T>& in, const AttentionOutput<T>& forward, const HeadsView<const T>& d_output,
                const RowStatisticsGradient<T>& upstream, const QueryBlock& block, const BlockWorkspace<T>& work,
                const BackwardWorkspace<T>& back)
      : in_(in),
        block_(block),
        back_(back),
        scores_(in, block, work),
        first_(in, block, upstream.first_visible_key != nullptr),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        queries_(scores_.width()),
        width_(static_cast<int>(in.shape.width)),
        value_width_(static_cast<int>(in.shape.value_width)) {
    // Lanes that repeat a query stay zero and add nothing.
    std::fill_n(back.d_output_rows, queries_ * back.value_stride, T(0));
    std::fill_n(back.query_rows, queries_ * back.stride, T(0));
    std::fill_n(back.d_query, width_ * queries_, T(0));
    HWY_ALIGN T dot[kMaxBlockWidth] = {};
    const auto same = [](V x) HWY_ATTR { return x; };
    for (int c = 0; c < block.vectors; ++c) {
      const T* rows[hn::MaxLanes(D())];
      for (int q = 0; q < lanes_; ++q) {
        const std::int64_t query = block.first + std::min(c * lanes_ + q, block.count - 1);
        rows[q] = d_output.row(block.batch, block.head, query);
      }
      rows_to_lanes(D(), rows, value_width_, back.d_output + c * lanes_, queries_, same);
    }
    for (int q = 0; q < block.count; ++q) {
      const T* from = d_output.row(block.batch, block.head, block.first + q);
      const T* output = forward.output.row(block.batch, block.head, block.first + q);
      for (int i = 0; i < value_width_; ++i) {
        back.d_output_rows[q * back.value_stride + i] = from[i];
        dot[q] += from[i] * output[i];
      }
      const T* query = scores_.query_row(q);
      for (int i = 0; i < width_; ++i) {
        back.query_rows[q * back.stride + i] = map_feature(in_.form, query[i]) * static_cast<T>(in.scale);
      }
    }
    const std::int64_t row_0 = (block.batch * in.shape.heads + block.head) * in.shape.queries + block.first;
    if (upstream.first_visible_key != nullptr) d_first_ = upstream.first_visible_key + row_0;
    for (int c = 0; c < block.vectors; ++c) {
      const auto rows = [&](const auto* array) HWY_ATTR { return load_rows<T>(array, row_0 + c * lanes_, count(c)); };
      rows_[c] = row_gradient<T>(in, forward, upstream, rows, hn::LoadU(D(), dot + c * lanes_));
    }
    finite_queries_ = all_finite(D(), back.query_rows, back.stride, queries_, back.stride);
    finite_d_output_ = all_finite(D(), back.d_output_rows, back.value_stride, queries_, back.value_stride);
  }

  Scores<T>& scores() { return scores_; }
  const RowGradient<V>& row(int column) const { return rows_[column]; }
  int count(int column) const { return std::clamp(block_.count - column * lanes_, 0, lanes_); }
  int queries() const { return queries_; }

  // dO·v of keys [key, key + keys), [keys, W], and what comes to the first key that each row sees.
  void pull(std::int64_t key, int keys, T* to) const {
    const Strided<T> values{in_.value.row(block_.batch, block_.key_head, key), in_.value.row_stride, 1};
    product<false, false>(D(), values, keys, value_width_, back_.d_output, queries_, to, queries_, block_.vectors);
    first_.visit(key, keys, to, queries_, [&](int q, T& pulled) { pulled += d_first_[q]; });
  }

  // From p and ds of a tile, [keys, W], what keys, values, queries and bias are due.
  void push(std::int64_t key, int keys, const T* p, const T* ds, const HeadsView<T>& d_bias) const {
    if (d_bias.data != nullptr) {
      for (int q = 0; q < block_.count; ++q) {
        T* to = d_bias.row(block_.batch, block_.head, block_.first + q) + key;
        for (int j = 0; j < keys; ++j) to[j] = ds[j * queries_ + q];
      }
    }
    add_queries(scores_, key, keys, back_.d_output_rows, static_cast<int>(back_.value_stride), finite_d_output_, p,
                back_.d_value + key * back_.value_stride);
    add_queries(scores_, key, keys, back_.query_rows, static_cast<int>(back_.stride), finite_queries_, ds,
                back_.d_key + key * back_.stride);
    const Strided<T> mapped = scores_.mapped_keys(key, keys);
    add_keys(scores_, key, keys, mapped.data, mapped.row, width_, ds, back_.d_query);
  }

  void finish(const HeadsView<T>& d_query) const {
    if (d_query.data == nullptr) return;
    const V scale = hn::Set(D(), static_cast<T>(in_.scale));
    for (int c = 0; c < block_.vectors; ++c) {
      T* rows[hn::MaxLanes(D())];
      for (int q = 0; q < count(c); ++q) {
        rows[q] = d_query.row(block_.batch, block_.head, block_.first + c * lanes_ + q);
      }
      const auto scaled = [&](V x) HWY_ATTR { return hn::Mul(x, scale); };
      lanes_to_rows(D(), back_.d_query + c * lanes_, queries_, width_, rows, count(c), scaled);
    }
    if (in_.form.feature == reweighting::FeatureMap::kNone) return;
    for (int q = 0; q < block_.count; ++q) {
      const T* from = scores_.query_row(q);
      T* to = d_query.row(block_.batch, block_.head, block_.first + q);
      for (int i = 0; i < width_; ++i) to[i] *= feature_slope(in_.form, from[i]);
    }
  }

 private:
  const AttentionInput<T>& in_;
  const QueryBlock& block_;
  const BackwardWorkspace<T>& back_;
  Scores<T> scores_;
  FirstVisible<T> first_;
  const T* d_first_ = nullptr;  // of the block's rows
  int lanes_, queries_, width_, value_width_;
  bool finite_queries_, finite_d_output_;
  RowGradient<V> rows_[kBlockVectors];
};

// What is due to the normaliser's parameter; null if it has none.
inline double* of_normaliser(const reweighting::AttentionForm& form, SharedDue& due) {
  if (form.normaliser == reweighting::Normaliser::kCount) return &due.count_power;
  return reweighting::has_sum_offset(form) ? &due.sum_offset : nullptr;
}

// Adds what each lane's row owes to its sink's score, through the normaliser and the log-sum-exp, to sink[lane].
template <class T, class D = hn::ScalableTag<T>>
HWY_NOINLINE void add_sink_gradients(reweighting::WeightFunction function, hn::Vec<D> sinks,
                                     const RowGradient<hn::Vec<D>>& row, int count, double* sink) {
  using V = hn::Vec<D>;
  const bool exponential = function == reweighting::WeightFunction::kExp;
  const D d;
  LoweredWeight<V> f;
  if (exponential) {
    f.weight = f.slope = ExpFunction::weight(SimdMath<D>(), hn::Sub(sinks, row.shift));
  } else {
    f = lowered_weight(d, function, sinks, lowering(d, row.shift));
  }
  V ds = hn::Neg(hn::Mul(hn::Mul(f.slope, row.inverse), row.coupled));
  if (exponential) ds = hn::MulAdd(row.log_sum_exp, hn::Mul(f.weight, row.inverse), ds);
  T buffer[hn::MaxLanes(D())];
  hn::StoreU(ds, d, buffer);
  for (int l = 0; l < count; ++l) sink[l] += buffer[l];
}

template <class T>
void backward_block(const AttentionInput<T>& in, const AttentionOutput<T>& forward, const HeadsView<const T>& d_output,
                    const RowStatisticsGradient<T>& upstream, const AttentionGradient<T>& gradient,
                    const QueryBlock& block, const BlockWorkspace<T>& work, const BackwardWorkspace<T>& back,
                    SharedDue& due) {
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
  clear_running<false>(in, block, work);
  BackwardBlock<T> whole(in, forward, d_output, upstream, block, work, back);
  Scores<T>& scores = whole.scores();
  const bool transformed =
      in.form.transform == reweighting::Transform::kSoftCap || in.form.transform == reweighting::Transform::kLogCount;
  const hn::ScalableTag<T> d;
  for (int c = 0; c < block.vectors; ++c) {
    if (double* to = of_normaliser(in.form, due)) *to += sum_of_first(d, whole.row(c).normaliser, whole.count(c));
    if (!has_sink(in)) continue;
    double lanes_due[hn::MaxLanes(hn::ScalableTag<T>())] = {};
    add_sink_gradients<T>(in.form.weight, hn::Set(d, sink_score(in, block.head)), whole.row(c), whole.count(c),
                          lanes_due);
    due.sink += std::accumulate(lanes_due, lanes_due + whole.count(c), 0.0);
  }
  const bool learns = transformed && gradient.parameters.transform_factor != nullptr;

  for (std::int64_t key = scores.begin(); key < scores.end(); key += kTileKeys) {
    const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, scores.end() - key));
    scores.compute(key, keys, work.scores);
    whole.pull(key, keys, work.weights);
    const bool masked = scores.hides(key, keys);
    for (int c = 0; c < block.vectors; ++c) {
      const Column<T> column{work.scores + c * lanes, whole.queries(), keys};
      auto of_factor = hn::Zero(d);
      const auto apply = [&]<bool kMasked, bool kStatistics>() HWY_ATTR {
        const auto slope = [&](auto z, auto dz) HWY_ATTR {
          if (!transformed) return dz;
          if (learns) of_factor = hn::Add(of_factor, scores.due_to_factor(z, dz));
          return hn::Mul(dz, scores.transform_slope(z, c));
        };
        with_function(in.form.weight, [&]<class Function>() HWY_ATTR {
          differentiate<Function, kMasked, kStatistics>(whole.row(c), column, work.weights + c * lanes,
                                                        static_cast<T>(key), slope);
        });
      };
      if (whole.row(c).any_statistic) {
        masked ? apply.template operator()<true, true>() : apply.template operator()<false, true>();
      } else {
        masked ? apply.template operator()<true, false>() : apply.template operator()<false, false>();
      }
      if (learns) due.transform_factor += sum_of_first(d, of_factor, whole.count(c));
    }
    whole.push(key, keys, work.scores, work.weights, gradient.bias);
  }
  whole.finish(gradient.query);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_BACKWARD_INL_H_
