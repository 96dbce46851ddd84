// Rows of any form of attention, one at a time, by attention's own weights, rules and results.

#if defined(POLARISCOPE_MODELS_FORM_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_FORM_ROWS_INL_H_
#undef POLARISCOPE_MODELS_FORM_ROWS_INL_H_
#else
#define POLARISCOPE_MODELS_FORM_ROWS_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/rules-inl.h"
#include "polariscope/models/internal/normalised_rows-inl.h"

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
using namespace attention::HWY_NAMESPACE;
using namespace reweighting::HWY_NAMESPACE;

// What a row of a form is given and leaves.
template <class T>
struct FormRow {
  Column<T> scores;
  T* weights;  // receives p
  hn::Vec<hn::ScalableTag<T>> sink;
  hn::Vec<hn::ScalableTag<T>> shift, inverse;
  RowResults<hn::Vec<hn::ScalableTag<T>>> results;
};

// The results of a row whose sums are taken; the weights become p.
template <class Function, class T, class D = hn::ScalableTag<T>>
HWY_INLINE void finish_row(const reweighting::AttentionForm& form, const HeldRow<D>& sums, FormRow<T>& row) {
  using V = hn::Vec<D>;
  const D d;
  constexpr int kLanes = hn::MaxLanes(D());
  HWY_ALIGN T found[7][kLanes] = {};
  attention::AttentionInput<T> in;
  in.form = form;
  attention::AttentionOutput<T> out;
  out.statistics = {.entropy = found[0],
                    .sum_of_squares = found[1],
                    .maximum = found[2],
                    .first_key = found[3],
                    .row_sum = found[4],
                    .logit_variance = found[5],
                    .skewness = found[6]};
  const auto keep = [&]<class Number>(Number* array, const V(&values)[1]) HWY_ATTR {
    if constexpr (std::is_same_v<Number, T>) hn::Store(values[0], d, array);
  };
  row.shift = sums.get(kShift);
  const HeldRow<D> rows[1] = {sums};
  V inverse[1];
  visit_results<kIsExponential<Function>>(in, out, rows, row.sink, inverse, keep);
  row.inverse = inverse[0];
  for (int j = 0; j < row.scores.keys; ++j) {
    T* at = row.weights + j * row.scores.stride;
    hn::Store(hn::Mul(hn::Load(d, at), row.inverse), d, at);
  }
  constexpr bool kExponential = kIsExponential<Function>;
  const V one = hn::Set(d, 1), zero = hn::Zero(d);
  row.results = {.entropy = hn::Load(d, found[0]),
                 .squares = hn::Load(d, found[1]),
                 .logit_variance = hn::Load(d, found[5]),
                 .logit_squares = hn::Mul(hn::Load(d, found[5]), hn::Set(d, static_cast<T>(row.scores.keys))),
                 .maximum = hn::Load(d, found[2]),
                 .first_key = hn::Load(d, found[3]),
                 .skewness = hn::Load(d, found[6]),
                 .row_sum = hn::Load(d, found[4]),
                 .dead = kExponential ? zero : hn::IfThenElseZero(hn::Eq(sums.get(kSumAbsolute), zero), one)};
}

inline constexpr attention::Wanted kAllOfARow{
    .entropy = true, .squares = true, .largest = true, .logit_moments = true, .skewness = true};

template <class Function, class T>
HWY_NOINLINE void weigh_elementwise(const reweighting::AttentionForm& form, FormRow<T>& row) {
  using D = hn::ScalableTag<T>;
  const D d;
  HeldRow<D> sums;
  const bool sink = form.normaliser == reweighting::Normaliser::kSumAndSink;
  clear_row<kIsExponential<Function>>(d, sums, sink ? row.sink : hn::Set(d, kLowest<T>));
  weigh_column<Function, false, true, false>(d, row.scores, row.weights, T(0), kAllOfARow, sums);
  finish_row<Function>(form, sums, row);
}

template <template <class> class Rule, class T>
HWY_NOINLINE void weigh_by_rule(const reweighting::AttentionForm& form, FormRow<T>& row) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  HeldRow<D> sums;
  clear_row<false>(d, sums, hn::Zero(d));
  const Rule<D> rule(form, row.scores);
  const Summary<V> logits = summary<true>(d, row.scores);
  sums.add(kSpoilt, spoilt_of<true>(d, row.scores, logits.mean));
  sums.set(kLogitMaximum, logits.largest);
  merge_logits<true, true>(d, row.scores, logits, sums);
  const auto p = [&](V z) HWY_ATTR { return rule.p(z); };
  const V sum = measure<true>(d, row.scores, p, row.weights, T(0), kAllOfARow, sums);
  const Column<T> weights{row.weights, row.scores.stride, row.scores.keys};
  merge_weights<true, true>(d, weights, row.scores.data, logits.count, sum, sums);
  sums.set(kCount, logits.count);
  sums.set(kFirst, hn::Load(d, row.weights));
  finish_row<IdentityFunction>(form, sums, row);
}

// What comes to a row, and what its scores' gradient needs. dot is dO·O.
template <class T>
struct FormRowGradient {
  Column<T> scores;
  T* pulled;  // dO·v_j, becomes dz_j
  hn::Vec<hn::ScalableTag<T>> dot, shift, inverse, row_sum, sink;
  hn::Vec<hn::ScalableTag<T>> d_sink;  // receives the sink's gradient
};

// dz_j = f'(z_j) (g_j - c Σ g p)/n, c = ∂n/∂(Σw).
template <class Function, class T>
HWY_NOINLINE void pull_elementwise(const reweighting::AttentionForm& form, FormRowGradient<T>& row) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const SimdMath<D> math;
  V coupled = hn::Zero(d);
  switch (form.normaliser) {
    case reweighting::Normaliser::kSum:
    case reweighting::Normaliser::kSumAndSink: coupled = row.dot; break;
    case reweighting::Normaliser::kMax1: {
      const auto bound = hn::Lt(row.inverse, hn::Set(d, 1));
      coupled = hn::IfThenElseZero(bound, hn::CopySign(row.dot, hn::Mul(row.dot, row.row_sum)));
      break;
    }
    case reweighting::Normaliser::kNone:
    case reweighting::Normaliser::kCount: break;
  }
  for (int j = 0; j < row.scores.keys; ++j) {
    const V z = hn::Load(d, row.scores.data + j * row.scores.stride);
    V w;
    if constexpr (kIsExponential<Function>) {
      w = exp_below(d, hn::Sub(z, row.shift));
    } else {
      w = Function::weight(math, z);
    }
    T* at = row.pulled + j * row.scores.stride;
    const V dw = hn::Mul(hn::Sub(hn::Load(d, at), coupled), row.inverse);
    hn::Store(hn::Mul(Function::slope(math, z, w), dw), d, at);
  }
  row.d_sink = hn::Zero(d);
  if (form.normaliser == reweighting::Normaliser::kSumAndSink) {
    const V x = hn::Sub(row.sink, row.shift);
    const V slope = Function::slope(math, x, Function::weight(math, x));
    row.d_sink = hn::Neg(hn::Mul(hn::Mul(slope, row.inverse), coupled));
  }
}

template <template <class> class Rule, class T>
HWY_NOINLINE void pull_by_rule(const reweighting::AttentionForm& form, FormRowGradient<T>& row) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  const D d;
  const Rule<D> rule(form, row.scores);
  const std::ptrdiff_t stride = row.scores.stride;
  V pull = hn::Zero(d), share = pull;
  for (int j = 0; j < row.scores.keys; ++j) {
    const V z = hn::Load(d, row.scores.data + j * stride);
    pull = hn::MulAdd(rule.pull(z), hn::Load(d, row.pulled + j * stride), pull);
    if constexpr (Rule<D>::kMean) share = hn::Add(share, rule.spread(z));
  }
  const V mean = Rule<D>::kMean ? hn::Div(pull, share) : pull;
  for (int j = 0; j < row.scores.keys; ++j) {
    const V z = hn::Load(d, row.scores.data + j * stride);
    T* at = row.pulled + j * stride;
    hn::Store(hn::Sub(hn::Mul(rule.direct(z), hn::Load(d, at)), hn::Mul(rule.spread(z), mean)), d, at);
  }
  row.d_sink = hn::Zero(d);
}

template <class T>
HWY_INLINE void weigh_row(const reweighting::AttentionForm& form, FormRow<T>& row) {
  switch (form.rule) {
    case reweighting::RowRule::kElementwise: break;
    case reweighting::RowRule::kClippedSoftmax: return weigh_by_rule<ClippedSoftmax>(form, row);
    case reweighting::RowRule::kSoftpick: return weigh_by_rule<Softpick>(form, row);
    case reweighting::RowRule::kSparsemax:
    case reweighting::RowRule::kEntmax: return weigh_by_rule<Entmax>(form, row);
  }
  with_function(form.weight, [&]<class Function>() HWY_ATTR { weigh_elementwise<Function>(form, row); });
}

template <class T>
HWY_INLINE void pull_row(const reweighting::AttentionForm& form, FormRowGradient<T>& row) {
  switch (form.rule) {
    case reweighting::RowRule::kElementwise: break;
    case reweighting::RowRule::kClippedSoftmax: return pull_by_rule<ClippedSoftmax>(form, row);
    case reweighting::RowRule::kSoftpick: return pull_by_rule<Softpick>(form, row);
    case reweighting::RowRule::kSparsemax:
    case reweighting::RowRule::kEntmax: return pull_by_rule<Entmax>(form, row);
  }
  with_function(form.weight, [&]<class Function>() HWY_ATTR { pull_elementwise<Function>(form, row); });
}

// z of a score and ∂z/∂s at z: a factor, a soft cap or a shift, of a row that sees `keys` of the
// sequence's tokens.
template <class D>
class ScoreTransform {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  ScoreTransform(const reweighting::AttentionForm& form, int tokens, int keys)
      : kind_(form.transform), factor_(form.transform_factor) {
    if (kind_ == reweighting::Transform::kLogCount) factor_ *= std::log(static_cast<double>(keys));
    if (kind_ == reweighting::Transform::kMinusLogKeys) shift_ = -std::log(static_cast<double>(tokens));
  }
  HWY_INLINE V apply(V s) const {
    const D d;
    const V factor = hn::Set(d, static_cast<T>(factor_));
    switch (kind_) {
      case reweighting::Transform::kSoftCap: return hn::Mul(factor, hn::Tanh(d, hn::Div(s, factor)));
      case reweighting::Transform::kLogCount: return hn::Mul(factor, s);
      case reweighting::Transform::kMinusLogKeys: return hn::Add(s, hn::Set(d, static_cast<T>(shift_)));
      case reweighting::Transform::kNone: break;
    }
    return s;
  }
  HWY_INLINE V slope(V z) const {
    const D d;
    const V factor = hn::Set(d, static_cast<T>(factor_));
    if (kind_ == reweighting::Transform::kLogCount) return factor;
    if (kind_ != reweighting::Transform::kSoftCap) return hn::Set(d, 1);
    const V part = hn::Div(z, factor);
    return hn::NegMulAdd(part, part, hn::Set(d, 1));
  }

 private:
  reweighting::Transform kind_;
  double factor_, shift_ = 0.0;
};

// A map of any form. Rows before first_output need no PV.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void form_map(D d, const LayerPlan& plan, const LayerArrays<T>& a, T sink, int first_output,
                           const MapSums<T>& map) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const int tokens = plan.tokens;
  for (int i = 0; i < tokens; ++i) {
    const int keys = keys_of(plan, i);
    const ScoreTransform<D> transform(plan.form, tokens, keys);
    const Token<V> query = load_token(d, a.query, i);
    T* z = a.scores + static_cast<std::ptrdiff_t>(i) * tokens * lanes;
    FormRow<T> row{.scores = {z, lanes, keys},
                   .weights = a.weights + static_cast<std::ptrdiff_t>(i) * tokens * lanes,
                   .sink = hn::Set(d, sink),
                   .shift = hn::Zero(d),
                   .inverse = hn::Zero(d),
                   .results = {}};
    for (int j = 0; j < keys; ++j) hn::Store(transform.apply(dot(query, load_token(d, a.key, j))), d, z + j * lanes);
    weigh_row(plan.form, row);
    add_row(d, row.results, i, map);
    hn::Store(row.shift, d, a.shift + i * lanes);
    hn::Store(row.inverse, d, a.inverse + i * lanes);
    hn::Store(row.results.row_sum, d, a.row_sum + i * lanes);
    if (i < first_output) continue;
    Token<V> output{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    for (int j = 0; j < keys; ++j) add_scaled(hn::Load(d, row.weights + j * lanes), load_token(d, a.value, j), output);
    store_token(d, output, a.output, i);
  }
}

// As normalised_map_backward(); pulled: [tokens], d_sink: one vector, added to.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void form_map_backward(D d, const LayerPlan& plan, const LayerArrays<T>& a, T sink, const T* d_output,
                                    int first, const ScoreGradients<T>& to, T* pulled, T* d_sink) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const int tokens = plan.tokens;
  for (int i = first; i < tokens; ++i) {
    const int keys = keys_of(plan, i);
    const ScoreTransform<D> transform(plan.form, tokens, keys);
    const Token<V> query = load_token(d, a.query, i), upstream = load_token(d, d_output, i);
    T* z = a.scores + static_cast<std::ptrdiff_t>(i) * tokens * lanes;
    for (int j = 0; j < keys; ++j) hn::Store(dot(upstream, load_token(d, a.value, j)), d, pulled + j * lanes);
    FormRowGradient<T> row{.scores = {z, lanes, keys},
                           .pulled = pulled,
                           .dot = dot(upstream, load_token(d, a.output, i)),
                           .shift = hn::Load(d, a.shift + i * lanes),
                           .inverse = hn::Load(d, a.inverse + i * lanes),
                           .row_sum = hn::Load(d, a.row_sum + i * lanes),
                           .sink = hn::Set(d, sink),
                           .d_sink = hn::Zero(d)};
    pull_row(plan.form, row);
    hn::Store(hn::Add(hn::Load(d, d_sink), row.d_sink), d, d_sink);
    Token<V> d_query{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    const T* p = a.weights + static_cast<std::ptrdiff_t>(i) * tokens * lanes;
    for (int j = 0; j < keys; ++j) {
      const V ds = hn::Mul(transform.slope(hn::Load(d, z + j * lanes)), hn::Load(d, pulled + j * lanes));
      Token<V> d_key = load_token(d, to.key, j), d_value = load_token(d, to.value, j);
      add_scaled(ds, load_token(d, a.key, j), d_query);
      add_scaled(ds, query, d_key);
      add_scaled(hn::Load(d, p + j * lanes), upstream, d_value);
      store_token(d, d_key, to.key, j);
      store_token(d, d_value, to.value, j);
    }
    store_token(d, d_query, to.query, i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_FORM_ROWS_INL_H_
