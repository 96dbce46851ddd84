// The backward pass of one block of queries over all its keys, by recomputation. With p = w/n, the upstream
// gradient g_j of p_j (through the output and the statistics of p) and c = ∂n/∂(Σw):
//
//   g_j  = dO·v_j + 2 g_F p_j + g_max sign(p_j) [j = j*] + g_first [j = 0]
//   dw_j = (g_j - c Σ_i g_i p_i)/n - g_H (log π_j + H) sign(w_j)/Σ|w|,    π = |w|/Σ|w|
//   dz_j = f'(z_j) dw_j + g_lse p_j + (g_μ + 2 g_var (z_j - μ))/n_visible
//
// Σ g p needs no pass of its own: it is dO·O + 2 g_F Σp² + g_max max|p| + g_first p_0.

#if defined(POLARISCOPE_ATTENTION_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#undef POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#else
#define POLARISCOPE_ATTENTION_BACKWARD_INL_H_
#endif

#include "polariscope/attention/internal/finish-inl.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/weigh-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {

// Numbers of a row that its dz needs, a vector of queries each.
template <class V>
struct RowGradient {
  V shift, inverse;
  V coupled;                   // c Σ g p
  V squares, largest, first;   // 2 g_F, g_max, g_first
  V entropy, entropy_at;       // g_H/Σ|w|;  H - log Σ|w|
  V log_sum_exp;               // g_lse
  V logit, logit_slope, mean;  // g_μ/n, 2 g_var/n, μ
  V argmax;
  bool any_statistic;
};

// Entry `at` of an array of T or integers into a vector; 0 beyond `count` and for null.
template <class T, class Number, class D = hn::ScalableTag<T>>
HWY_INLINE hn::Vec<D> load_rows(const Number* array, std::int64_t at, int count) {
  const D d;
  T buffer[hn::MaxLanes(D())] = {};
  if (array != nullptr) {
    std::transform(array + at, array + at + count, buffer, [](Number x) { return static_cast<T>(x); });
  }
  return hn::LoadU(d, buffer);
}

template <class Function, class T, class D = hn::ScalableTag<T>>
RowGradient<hn::Vec<D>> row_gradient(const AttentionInput<T>& in, const AttentionOutput<T>& forward,
                                     const RowStatisticsGradient<T>& upstream, std::int64_t at, int count,
                                     hn::Vec<D> output_dot) {
  using V = hn::Vec<D>;
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1);
  const auto rows = [&](const auto* array) HWY_ATTR { return load_rows<T>(array, at, count); };
  const RowStatistics<T>& is = forward.statistics;
  RowGradient<V> row{};
  row.shift = rows(forward.shift);
  row.inverse = rows(forward.inverse);
  row.squares = hn::Mul(hn::Set(d, 2), rows(upstream.sum_of_squares));
  row.largest = rows(upstream.maximum);
  row.first = rows(upstream.first_key);
  row.argmax = is.argmax != nullptr && upstream.maximum != nullptr ? rows(is.argmax) : hn::Set(d, -1);

  V pulled = output_dot;
  if (upstream.sum_of_squares != nullptr) pulled = hn::MulAdd(row.squares, rows(is.sum_of_squares), pulled);
  if (upstream.maximum != nullptr) pulled = hn::MulAdd(row.largest, rows(is.maximum), pulled);
  if (upstream.first_key != nullptr) pulled = hn::MulAdd(row.first, rows(is.first_key), pulled);
  switch (in.form.normaliser) {
    case Normaliser::kSum:
    case Normaliser::kSumAndSink: row.coupled = pulled; break;
    case Normaliser::kMax1: {
      // n > 1 where 1/n < 1; n itself is |Σw|, whose sign is that of Σw.
      const auto bound = hn::Lt(row.inverse, one);
      row.coupled = hn::IfThenElseZero(bound, hn::CopySign(pulled, hn::Mul(pulled, rows(is.row_sum))));
      break;
    }
    case Normaliser::kNone:
    case Normaliser::kCount: row.coupled = zero; break;
  }
  if (upstream.entropy != nullptr) {
    const V mass = hn::Max(rows(forward.mass), hn::Set(d, std::numeric_limits<T>::min()));
    row.entropy = hn::Div(rows(upstream.entropy), mass);
    row.entropy_at = hn::Sub(rows(is.entropy), hn::Log(d, mass));
  } else {
    row.entropy = row.entropy_at = zero;
  }
  row.log_sum_exp = rows(upstream.log_sum_exp);
  const V visible = hn::Max(rows(is.visible), one);
  row.logit = hn::Div(rows(upstream.logit_mean), visible);
  row.logit_slope = hn::Div(hn::Mul(hn::Set(d, 2), rows(upstream.logit_variance)), visible);
  row.mean = rows(is.logit_mean);
  row.any_statistic = upstream.entropy != nullptr || upstream.sum_of_squares != nullptr ||
                      upstream.maximum != nullptr || upstream.first_key != nullptr || upstream.log_sum_exp != nullptr ||
                      upstream.logit_mean != nullptr || upstream.logit_variance != nullptr;
  return row;
}

// One column of a tile: scores become p, and dO·v becomes ds.
template <class Function, bool kMasked, bool kStatistics, class T, class D = hn::ScalableTag<T>>
HWY_NOINLINE void differentiate(const Scores<T>& block, const RowGradient<hn::Vec<D>>& row, Column<T> scores, T* pulled,
                                T key_0, int column, bool transformed) {
  using V = hn::Vec<D>;
  constexpr bool kExponential = Function::kFunction == WeightFunction::kExp;
  const D d;
  const SimdMath<D> math;
  const V one = hn::Set(d, 1);
  for (int j = 0; j < scores.keys; ++j) {
    T* at = scores.data + j * scores.stride;
    T* to = pulled + j * scores.stride;
    const V z = hn::Load(d, at);
    const V x = hn::Sub(z, row.shift);
    V w;
    if constexpr (kExponential) {
      w = exp_below(d, x);
    } else {
      w = Function::weight(math, z);
    }
    const V p = hn::Mul(w, row.inverse);
    V g = hn::Load(d, to);
    if constexpr (kStatistics) {
      const V key = hn::Set(d, key_0 + static_cast<T>(j));
      g = hn::MulAdd(row.squares, p, g);
      g = hn::Add(g, hn::IfThenElseZero(hn::Eq(key, row.argmax), hn::CopySign(row.largest, hn::Mul(row.largest, p))));
      if (j == 0 && key_0 == T(0)) g = hn::Add(g, row.first);
    }
    V dw = hn::Mul(hn::Sub(g, row.coupled), row.inverse);
    if constexpr (kStatistics) {
      // w log w → 0: nothing comes of weights that are zero.
      const V size = hn::Max(hn::Abs(w), hn::Set(d, std::numeric_limits<T>::min()));
      const V log = kExponential ? hn::Max(x, hn::Set(d, T(-87))) : hn::Log(d, size);
      const V pull = hn::Mul(row.entropy, hn::Add(log, row.entropy_at));
      dw = hn::Sub(dw, hn::IfThenElseZero(hn::Ne(w, hn::Zero(d)), hn::CopySign(pull, hn::Mul(pull, w))));
    }
    V dz = hn::Mul(Function::slope(math, z, w), dw);
    if constexpr (kStatistics) {
      dz = hn::MulAdd(row.log_sum_exp, p, dz);
      dz = hn::Add(dz, hn::MulAdd(row.logit_slope, hn::Sub(z, row.mean), row.logit));
    }
    if (transformed) dz = hn::Mul(dz, block.transform_slope(z, column));
    hn::Store(kept<kMasked>(d, z, p), d, at);
    hn::Store(kept<kMasked>(d, z, dz), d, to);
  }
}

template <class Function, class T>
void backward_block(const AttentionInput<T>& in, const AttentionOutput<T>& forward, const HeadsView<const T>& d_output,
                    const RowStatisticsGradient<T>& upstream, const AttentionGradient<T>& gradient,
                    const QueryBlock& block, const BlockWorkspace<T>& work, const BackwardWorkspace<T>& back,
                    double& d_sink) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  constexpr bool kExponential = Function::kFunction == WeightFunction::kExp;
  const D d;
  const SimdMath<D> math;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int width = static_cast<int>(in.shape.width);
  const int value_width = static_cast<int>(in.shape.value_width);
  clear_running<Function>(in, block, work);
  Scores<T> scores(in, block, work);
  const int queries = scores.width();
  const bool transformed = in.form.transform == Transform::kSoftCap || in.form.transform == Transform::kLogCount;

  // dO along lanes and along rows, queries along rows. Lanes that repeat a query stay zero and add nothing.
  std::fill_n(back.d_output, value_width * queries, T(0));
  std::fill_n(back.d_output_rows, queries * back.value_stride, T(0));
  std::fill_n(back.query_rows, queries * back.stride, T(0));
  std::fill_n(back.d_query, width * queries, T(0));
  T dot[kMaxBlockWidth] = {};
  for (int q = 0; q < block.count; ++q) {
    const T* from = d_output.row(block.batch, block.head, block.first + q);
    const T* output = forward.output.row(block.batch, block.head, block.first + q);
    for (int i = 0; i < value_width; ++i) {
      back.d_output[i * queries + q] = from[i];
      back.d_output_rows[q * back.value_stride + i] = from[i];
      dot[q] += from[i] * output[i];
    }
    for (int i = 0; i < width; ++i) back.query_rows[q * back.stride + i] = work.query[i * queries + q];
  }

  const std::int64_t row_0 = (block.batch * in.shape.heads + block.head) * in.shape.queries + block.first;
  RowGradient<V> rows[kBlockVectors];
  for (int c = 0; c < block.vectors; ++c) {
    const int count = std::clamp(block.count - c * lanes, 0, lanes);
    rows[c] = row_gradient<Function>(in, forward, upstream, row_0 + c * lanes, count, hn::LoadU(d, dot + c * lanes));
    if (has_sink(in) && count > 0) {
      const V x = hn::Sub(hn::Set(d, sink_score(in, block.head)), rows[c].shift);
      const V w = Function::weight(math, x);
      const V p = hn::Mul(w, rows[c].inverse);
      V ds = hn::Neg(hn::Mul(hn::Mul(Function::slope(math, x, w), rows[c].inverse), rows[c].coupled));
      if constexpr (kExponential) ds = hn::MulAdd(rows[c].log_sum_exp, p, ds);
      T buffer[hn::MaxLanes(D())];
      hn::StoreU(ds, d, buffer);
      for (int q = 0; q < count; ++q) d_sink += buffer[q];
    }
  }

  for (std::int64_t key = scores.begin(); key < scores.end(); key += kTileKeys) {
    const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, scores.end() - key));
    scores.compute(key, keys, work.scores);
    const Strided<T> values{in.value.row(block.batch, block.key_head, key), in.value.row_stride, 1};
    product<false, false>(d, values, keys, value_width, back.d_output, queries, work.weights, queries, block.vectors);
    const bool masked = scores.hides(key, keys);
    for (int c = 0; c < block.vectors; ++c) {
      const Column<T> column{work.scores + c * lanes, queries, keys};
      T* pulled = work.weights + c * lanes;
      const T key_0 = static_cast<T>(key);
      const auto apply = [&]<bool kMasked, bool kStatistics>() HWY_ATTR {
        differentiate<Function, kMasked, kStatistics>(scores, rows[c], column, pulled, key_0, c, transformed);
      };
      if (rows[c].any_statistic) {
        masked ? apply.template operator()<true, true>() : apply.template operator()<false, true>();
      } else {
        masked ? apply.template operator()<true, false>() : apply.template operator()<false, false>();
      }
    }
    if (gradient.bias.data != nullptr) {
      for (int q = 0; q < block.count; ++q) {
        T* to = gradient.bias.row(block.batch, block.head, block.first + q) + key;
        for (int j = 0; j < keys; ++j) to[j] = work.weights[j * queries + q];
      }
    }
    product<true, false>(d, Strided<T>{work.scores, queries, 1}, keys, queries, back.d_output_rows, back.value_stride,
                         back.d_value + key * back.value_stride, back.value_stride,
                         static_cast<int>(back.value_stride) / lanes);
    product<true, false>(d, Strided<T>{work.weights, queries, 1}, keys, queries, back.query_rows, back.stride,
                         back.d_key + key * back.stride, back.stride, static_cast<int>(back.stride) / lanes);
    const Strided<T> mapped = scores.mapped_keys(key, keys);
    product<true, true>(d, Strided<T>{mapped.data, 1, mapped.row}, width, keys, work.weights, queries, back.d_query,
                        queries, block.vectors);
  }

  if (gradient.query.data == nullptr) return;
  const T scale = static_cast<T>(in.scale);
  for (int q = 0; q < block.count; ++q) {
    const T* from = scores.query_row(q);
    T* to = gradient.query.row(block.batch, block.head, block.first + q);
    for (int i = 0; i < width; ++i) to[i] = back.d_query[i * queries + q] * scale * scores.map_slope(from[i]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_BACKWARD_INL_H_
