// What a vector of sequences keeps of a layer, a sequence a lane, from the forward pass to the backward one.

#if defined(POLARISCOPE_MODELS_LAYER_ARRAYS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_LAYER_ARRAYS_INL_H_
#undef POLARISCOPE_MODELS_LAYER_ARRAYS_INL_H_
#else
#define POLARISCOPE_MODELS_LAYER_ARRAYS_INL_H_
#endif

#include "polariscope/models/internal/attention_only_kernels.h"

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// [tokens, 4] vectors each, unless said otherwise.
template <class T>
struct LayerArrays {
  T* input;
  T *normed_query, *normed_key;  // before gain and bias; of norms alone
  T *query_scale, *key_scale;    // [tokens], what the norms multiplied by
  T *query, *key, *value;        // as the scores take them: after norm and feature map
  T* weights;                    // [tokens, tokens]; p, but softmax's are e^{z - m}
  T* scores;                     // [tokens, tokens], z; softmax and kernels need none
  T *inverse, *shift, *row_sum;  // [tokens]: 1/n, m, Σw
  T* output;                     // PV
};

template <class V>
struct Token {
  V at[kTokenWidth];
};
template <class D, class T = hn::TFromD<D>>
HWY_INLINE Token<hn::Vec<D>> load_token(D d, const T* tokens, int i) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const T* from = tokens + i * kTokenWidth * lanes;
  return {hn::Load(d, from), hn::Load(d, from + lanes), hn::Load(d, from + 2 * lanes), hn::Load(d, from + 3 * lanes)};
}
template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE void store_token(D d, const Token<V>& token, T* tokens, int i) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  T* to = tokens + i * kTokenWidth * lanes;
  for (int c = 0; c < kTokenWidth; ++c) hn::Store(token.at[c], d, to + c * lanes);
}
template <class V>
HWY_INLINE V dot(const Token<V>& a, const Token<V>& b) {
  V sum = hn::Mul(a.at[0], b.at[0]);
  for (int c = 1; c < kTokenWidth; ++c) sum = hn::MulAdd(a.at[c], b.at[c], sum);
  return sum;
}
template <class V>
HWY_INLINE void add_scaled(V by, const Token<V>& a, Token<V>& to) {
  for (int c = 0; c < kTokenWidth; ++c) to.at[c] = hn::MulAdd(by, a.at[c], to.at[c]);
}

// Keys that row i of a map sees.
inline int keys_of(const LayerPlan& plan, int i) { return plan.causal ? i + 1 : plan.tokens; }

// Sums over the rows of a map, and what is kept of each row.
template <class T>
struct MapSums {
  T* sums;                       // [kStatisticSlots]
  T *entropies, *logit_squares;  // [tokens]; Σ(z - z̄)² over a row's keys
};

// A vector of rows, measured.
template <class V>
struct RowResults {
  V entropy, squares, logit_variance, logit_squares, maximum, first_key, skewness, row_sum, dead;
};

template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE void add_row(D d, const RowResults<V>& row, int i, const MapSums<T>& map) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const auto add = [&](StatisticSlot slot, V value) HWY_ATTR {
    T* at = map.sums + slot * lanes;
    hn::Store(hn::Add(hn::Load(d, at), value), d, at);
  };
  hn::Store(row.entropy, d, map.entropies + i * lanes);
  hn::Store(row.logit_squares, d, map.logit_squares + i * lanes);
  add(kFrobeniusSum, row.squares);  // its root is taken of the whole map
  add(kLogitVarianceSum, row.logit_variance);
  add(kMaximumSum, row.maximum);
  add(kFirstKeySum, row.first_key);
  add(kSkewnessSum, row.skewness);
  add(kRowSumSum, row.row_sum);
  add(kDeadSum, row.dead);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_LAYER_ARRAYS_INL_H_
