// Rows of softmax, and of kernels φ(q)·φ(k)/Σ, two at a time, with all that is measured of them. The weights before the
// sum are kept and 1/Σw beside them.
//
// Softmax's keys are centred: k_j - k̄ leaves p as it is and makes the mean of a row's scores zero, so that their
// variance is Σz²/N. A kernel's weights are its scores. From the weights' moments about their mean come ‖P‖_F and the
// skewness.

#if defined(POLARISCOPE_MODELS_NORMALISED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_NORMALISED_ROWS_INL_H_
#undef POLARISCOPE_MODELS_NORMALISED_ROWS_INL_H_
#else
#define POLARISCOPE_MODELS_NORMALISED_ROWS_INL_H_
#endif

#include "polariscope/models/internal/layer_arrays-inl.h"
#include "polariscope/reweighting/exp-inl.h"
#include "polariscope/reweighting/log-inl.h"

#include <hwy/contrib/math/math-inl.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void centre_tokens(D d, int tokens, T* at) {
  Token<hn::Vec<D>> mean{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  const auto share = hn::Set(d, T(1) / static_cast<T>(tokens));
  for (int i = 0; i < tokens; ++i) add_scaled(share, load_token(d, at, i), mean);
  for (int i = 0; i < tokens; ++i) {
    Token<hn::Vec<D>> token = load_token(d, at, i);
    for (int c = 0; c < kTokenWidth; ++c) token.at[c] = hn::Sub(token.at[c], mean.at[c]);
    store_token(d, token, at, i);
  }
}

enum class RowKind { kSoftmax, kKernel };

template <class V>
struct RowSums {
  V sum, most, log, first;          // Σw; max z; Σ w(z - m) of softmax, Σ w log w of kernels; w_0
  V squares, cubes, logit_squares;  // Σ(w - w̄)², Σ(w - w̄)³, Σz² of softmax
};

// log w of w >= 0, where an absolute error of 1e-7 is enough and 0 may have any finite one. No division, which
// Highway's has.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_of_weight(D d, V w) {
  if constexpr (sizeof(hn::TFromD<D>) == 8) {
    return hn::Log(d, hn::Max(w, hn::Set(d, std::numeric_limits<double>::min())));
  } else {
    const auto [power, f] = power_and_fraction(d, hn::Max(w, hn::Set(d, std::numeric_limits<float>::min())));
    V p = log_polynomial(d, f);
    p = hn::MulAdd(p, f, hn::Set(d, -0.5F));
    p = hn::MulAdd(hn::Mul(p, f), f, f);
    return hn::MulAdd(power, hn::Set(d, 0.693147181F), p);
  }
}

template <RowKind kKind, class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE RowResults<V> normalised_results(D d, const RowSums<V>& of, V inverse, int tokens) {
  constexpr bool kSoftmax = kKind == RowKind::kSoftmax;
  const V zero = hn::Zero(d);
  const V share = hn::Set(d, T(1) / static_cast<T>(tokens));
  const V mean = hn::Mul(of.sum, share);
  // What rounding leaves of weights that are all equal is no variance.
  const V rounding = hn::Mul(hn::Set(d, 32 * std::numeric_limits<T>::epsilon()), mean);
  const V variance = hn::Mul(of.squares, share);
  const V skewness = hn::Div(hn::Mul(of.cubes, share), hn::Mul(variance, hn::Sqrt(variance)));
  const auto varies = hn::Not(hn::Le(variance, hn::Mul(rounding, rounding)));  // NaN varies
  const V entropy = hn::NegMulAdd(of.log, inverse, log_of_weight(d, of.sum));
  const auto empty = hn::Eq(of.sum, zero);
  return {// Rounding may take the entropy of a row with one weight just below zero.
          .entropy = hn::IfThenElse(hn::Or(empty, hn::Lt(entropy, zero)), zero, entropy),
          .squares = hn::Mul(hn::MulAdd(of.sum, mean, of.squares), hn::Mul(inverse, inverse)),
          .logit_variance = hn::Mul(of.logit_squares, share),  // of kernels the caller knows it
          .logit_squares = of.logit_squares,
          .maximum = kSoftmax ? inverse : hn::Mul(of.most, inverse),
          .first_key = hn::Mul(of.first, inverse),
          .skewness = hn::IfThenElseZero(varies, skewness),
          .row_sum = kSoftmax ? hn::Mul(of.sum, inverse) : of.sum,
          .dead = kSoftmax ? zero : hn::IfThenElseZero(empty, hn::Set(d, 1))};
}

// Softmax's scores, from which the maximum is to be taken before there are weights.
template <int kRows, class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE void softmax_scores(D d, const LayerArrays<T>& a, int tokens, const Token<V> (&query)[kRows],
                               T* const (&row)[kRows], RowSums<V> (&sums)[kRows]) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int j = 0; j < tokens; ++j) {
    const Token<V> key = load_token(d, a.key, j);
    for (int r = 0; r < kRows; ++r) {
      const V z = dot(query[r], key);
      sums[r].most = hn::Max(sums[r].most, z);
      sums[r].logit_squares = hn::MulAdd(z, z, sums[r].logit_squares);
      hn::Store(z, d, row[r] + j * lanes);
    }
  }
}

// Rows [i, i + kRows) of a map. kOutput: also their PV.
template <RowKind kKind, int kRows, bool kOutput, class D, class T = hn::TFromD<D>>
HWY_INLINE void normalised_rows(D d, const LayerArrays<T>& a, int tokens, int i, const MapSums<T>& map) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const V zero = hn::Zero(d);
  Token<V> query[kRows], output[kRows];
  RowSums<V> sums[kRows];
  T* row[kRows];
  for (int r = 0; r < kRows; ++r) {
    query[r] = load_token(d, a.query, i + r);
    output[r] = {zero, zero, zero, zero};
    sums[r] = {zero, hn::Set(d, std::numeric_limits<T>::lowest()), zero, zero, zero, zero, zero};
    row[r] = a.weights + static_cast<std::ptrdiff_t>(i + r) * tokens * lanes;
  }
  if constexpr (kKind == RowKind::kSoftmax) softmax_scores<kRows>(d, a, tokens, query, row, sums);
  for (int j = 0; j < tokens; ++j) {
    for (int r = 0; r < kRows; ++r) {
      V w;
      if constexpr (kKind == RowKind::kSoftmax) {
        const V x = hn::Sub(hn::Load(d, row[r] + j * lanes), sums[r].most);
        w = exp_below(d, x);
        sums[r].log = hn::MulAdd(x, w, sums[r].log);
      } else {
        w = dot(query[r], load_token(d, a.key, j));
        sums[r].most = hn::Max(sums[r].most, w);
        sums[r].log = hn::MulAdd(log_of_weight(d, w), w, sums[r].log);
      }
      sums[r].sum = hn::Add(sums[r].sum, w);
      if constexpr (kOutput) add_scaled(w, load_token(d, a.value, j), output[r]);
      hn::Store(w, d, row[r] + j * lanes);
    }
  }
  V mean[kRows];
  for (int r = 0; r < kRows; ++r) {
    sums[r].first = hn::Load(d, row[r]);
    mean[r] = hn::Mul(sums[r].sum, hn::Set(d, T(1) / static_cast<T>(tokens)));
  }
  for (int j = 0; j < tokens; ++j) {
    for (int r = 0; r < kRows; ++r) {
      const V apart = hn::Sub(hn::Load(d, row[r] + j * lanes), mean[r]);
      const V square = hn::Mul(apart, apart);
      sums[r].squares = hn::Add(sums[r].squares, square);
      sums[r].cubes = hn::MulAdd(square, apart, sums[r].cubes);
    }
  }
  const V smallest = hn::Set(d, std::numeric_limits<T>::min());
  for (int r = 0; r < kRows; ++r) {
    // A score that is not finite makes the sum with logarithms so, whatever its weight is.
    const V spoilt = hn::Mul(sums[r].log, zero);
    const V quotient = hn::Div(hn::Set(d, 1), sums[r].sum);
    const V inverse = hn::Add(hn::IfThenElseZero(hn::Ge(sums[r].sum, smallest), quotient), spoilt);
    hn::Store(inverse, d, a.inverse + (i + r) * lanes);
    if constexpr (kOutput) {
      for (int c = 0; c < kTokenWidth; ++c) output[r].at[c] = hn::Mul(output[r].at[c], inverse);
      store_token(d, output[r], a.output, i + r);
    }
    add_row(d, normalised_results<kKind>(d, sums[r], inverse, tokens), i + r, map);
  }
}

// Rows before first_output need no PV.
template <RowKind kKind, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void normalised_map(D d, const LayerArrays<T>& a, int tokens, int first_output, const MapSums<T>& map) {
  if constexpr (kKind == RowKind::kSoftmax) centre_tokens(d, tokens, a.key);
  int i = 0;
  for (; i + 2 <= first_output; i += 2) normalised_rows<kKind, 2, false>(d, a, tokens, i, map);
  if (i < first_output) normalised_rows<kKind, 1, false>(d, a, tokens, i++, map);
  for (; i + 2 <= tokens; i += 2) normalised_rows<kKind, 2, true>(d, a, tokens, i, map);
  if (i < tokens) normalised_rows<kKind, 1, true>(d, a, tokens, i, map);
}

// Gradients of query, key and value, [tokens, 4] vectors; those of key and value are added to.
template <class T>
struct ScoreGradients {
  T *query, *key, *value;
};

// dz_j = p_j (dO·v_j - dO·O) of softmax, (dO·v_j - dO·O)/Σw of kernels; 1/Σw is taken into dO.
template <RowKind kKind, int kRows, class D, class T = hn::TFromD<D>>
HWY_INLINE void normalised_rows_backward(D d, const LayerArrays<T>& a, const T* d_output, int tokens, int i,
                                         const ScoreGradients<T>& to) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  Token<V> query[kRows], upstream[kRows], d_query[kRows];
  V coupled[kRows];
  for (int r = 0; r < kRows; ++r) {
    const V inverse = hn::Load(d, a.inverse + (i + r) * lanes);
    query[r] = load_token(d, a.query, i + r);
    upstream[r] = load_token(d, d_output, i + r);
    for (int c = 0; c < kTokenWidth; ++c) {
      upstream[r].at[c] = hn::Mul(upstream[r].at[c], inverse);
      d_query[r].at[c] = hn::Zero(d);
    }
    coupled[r] = dot(upstream[r], load_token(d, a.output, i + r));
  }
  for (int j = 0; j < tokens; ++j) {
    const Token<V> key = load_token(d, a.key, j), value = load_token(d, a.value, j);
    Token<V> d_key = load_token(d, to.key, j), d_value = load_token(d, to.value, j);
    for (int r = 0; r < kRows; ++r) {
      const V w = hn::Load(d, a.weights + (static_cast<std::ptrdiff_t>(i + r) * tokens + j) * lanes);
      const V apart = hn::Sub(dot(upstream[r], value), coupled[r]);
      const V dz = kKind == RowKind::kSoftmax ? hn::Mul(w, apart) : apart;
      add_scaled(w, upstream[r], d_value);
      add_scaled(dz, key, d_query[r]);
      add_scaled(dz, query[r], d_key);
    }
    store_token(d, d_key, to.key, j);
    store_token(d, d_value, to.value, j);
  }
  for (int r = 0; r < kRows; ++r) store_token(d, d_query[r], to.query, i + r);
}

// Rows from `first` on; dO of those before is zero.
template <RowKind kKind, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void normalised_map_backward(D d, const LayerArrays<T>& a, const T* d_output, int tokens, int first,
                                          const ScoreGradients<T>& to) {
  int i = first;
  for (; i + 2 <= tokens; i += 2) normalised_rows_backward<kKind, 2>(d, a, d_output, tokens, i, to);
  if (i < tokens) normalised_rows_backward<kKind, 1>(d, a, d_output, tokens, i, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_NORMALISED_ROWS_INL_H_
