// The norms of queries and keys, and their feature maps after them: forward and backward, token by token.

#if defined(POLARISCOPE_MODELS_QK_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_QK_NORM_INL_H_
#undef POLARISCOPE_MODELS_QK_NORM_INL_H_
#else
#define POLARISCOPE_MODELS_QK_NORM_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/models/internal/layer_arrays-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
using namespace attention::HWY_NAMESPACE;

// Of the queries or of the keys. width: entries that count; those beyond it are zero and stay so.
template <class D, class T = hn::TFromD<D>>
class InputMap {
 public:
  using V = hn::Vec<D>;
  // gain, bias: [4]; scale: of everything, QkNorm::kL2's gain where it stands on this side, else 1.
  HWY_INLINE InputMap(const LayerPlan& plan, const T* gain, const T* bias, T scale)
      : plan_(plan), gain_(gain), bias_(bias), scale_(scale) {}

  bool normalises() const { return plan_.qk_norm != QkNorm::kNo; }
  bool maps() const { return plan_.form.feature != reweighting::FeatureMap::kNone; }

  // tokens: [tokens, 4] vectors, in place; the norm comes before the feature map. normed, scales: what backward()
  // reads.
  HWY_INLINE void normalise(T* tokens, T* normed, T* scales) const {
    const D d;
    const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
    for (int i = 0; i < plan_.tokens; ++i) {
      Token<V> token = load_token(d, tokens, i);
      hn::Store(to_unit(token), d, scales + i * lanes);
      store_token(d, token, normed, i);
      affine(token);
      store_token(d, token, tokens, i);
    }
  }
  HWY_INLINE void map(T* tokens) const {
    const D d;
    for (int i = 0; i < plan_.tokens; ++i) {
      Token<V> token = load_token(d, tokens, i);
      for (int c = 0; c < plan_.score_width; ++c) token.at[c] = map_vector(d, plan_.form, token.at[c]);
      store_token(d, token, tokens, i);
    }
  }

  // mapped: the tokens as both left them; gradients from token `first` on become those before the map. Adds to d_gain
  // and d_bias, [4] vectors, and d_scale, one or null.
  HWY_INLINE void backward(const T* mapped, const T* normed, const T* scales, int first, T* gradients, T* d_gain,
                           T* d_bias, T* d_scale) const {
    const D d;
    const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
    const V zero = hn::Zero(d);
    Token<V> of_gain{zero, zero, zero, zero}, of_bias = of_gain;
    for (int i = first; i < plan_.tokens; ++i) {
      Token<V> due = load_token(d, gradients, i);
      const Token<V> feature = load_token(d, mapped, i);
      for (int c = 0; c < plan_.score_width; ++c) due.at[c] = hn::Mul(due.at[c], slope(feature.at[c]));
      if (plan_.qk_norm != QkNorm::kNo) {
        const Token<V> unit = load_token(d, normed, i);
        for (int c = 0; c < plan_.score_width; ++c) {
          of_gain.at[c] = hn::MulAdd(due.at[c], unit.at[c], of_gain.at[c]);
          of_bias.at[c] = hn::Add(of_bias.at[c], due.at[c]);
          due.at[c] = hn::Mul(due.at[c], factor(c));
        }
        denormalise(unit, hn::Load(d, scales + i * lanes), due);
      }
      store_token(d, due, gradients, i);
    }
    const auto add = [&](T* to, V value) HWY_ATTR { hn::Store(hn::Add(hn::Load(d, to), value), d, to); };
    for (int c = 0; c < plan_.score_width; ++c) {
      add(d_gain + c * lanes, of_gain.at[c]);
      add(d_bias + c * lanes, of_bias.at[c]);
      if (d_scale != nullptr) add(d_scale, of_gain.at[c]);
    }
  }

 private:
  static constexpr double kEpsilon = 1e-5;

  HWY_INLINE V over_width(V sum) const { return hn::Mul(sum, hn::Set(D(), T(1) / static_cast<T>(plan_.score_width))); }
  HWY_INLINE V total(const Token<V>& token) const {
    V sum = token.at[0];
    for (int c = 1; c < plan_.score_width; ++c) sum = hn::Add(sum, token.at[c]);
    return sum;
  }
  // Returns what it multiplied by.
  HWY_INLINE V to_unit(Token<V>& token) const {
    const D d;
    if (plan_.qk_norm == QkNorm::kLayer) {
      const V mean = over_width(total(token));
      for (int c = 0; c < plan_.score_width; ++c) token.at[c] = hn::Sub(token.at[c], mean);
    }
    const V squares = dot(token, token);
    const V size = plan_.qk_norm == QkNorm::kL2 ? squares : over_width(squares);
    const V by = hn::Div(hn::Set(d, 1), hn::Sqrt(hn::Add(size, hn::Set(d, static_cast<T>(kEpsilon)))));
    for (int c = 0; c < kTokenWidth; ++c) token.at[c] = hn::Mul(token.at[c], by);
    return by;
  }
  // With u the normed token: da = by·(du - mean du - u·mean(du·u)), sums for means under L2, no mean du but of
  // LayerNorm.
  HWY_INLINE void denormalise(const Token<V>& unit, V by, Token<V>& due) const {
    const D d;
    const V along = dot(unit, due);
    const V pulled = plan_.qk_norm == QkNorm::kL2 ? along : over_width(along);
    const V mean = plan_.qk_norm == QkNorm::kLayer ? over_width(total(due)) : hn::Zero(d);
    for (int c = 0; c < plan_.score_width; ++c) {
      due.at[c] = hn::Mul(by, hn::Sub(hn::NegMulAdd(unit.at[c], pulled, due.at[c]), mean));
    }
  }
  HWY_INLINE V factor(int c) const { return hn::Set(D(), plan_.qk_norm == QkNorm::kL2 ? scale_ : gain_[c]); }
  HWY_INLINE void affine(Token<V>& token) const {
    for (int c = 0; c < plan_.score_width; ++c) {
      token.at[c] = hn::Mul(token.at[c], factor(c));
      if (plan_.qk_norm == QkNorm::kLayer) token.at[c] = hn::Add(token.at[c], hn::Set(D(), bias_[c]));
    }
  }
  // φ' from φ: both maps rise, and elu + 1 is its own slope below one.
  HWY_INLINE V slope(V feature) const {
    const D d;
    const V one = hn::Set(d, 1);
    switch (plan_.form.feature) {
      case reweighting::FeatureMap::kRelu:
        return hn::IfThenElseZero(hn::Lt(hn::Set(d, static_cast<T>(plan_.form.feature_offset)), feature), one);
      case reweighting::FeatureMap::kElu1: return hn::Min(feature, one);
      case reweighting::FeatureMap::kNone: break;
    }
    return one;
  }

  const LayerPlan& plan_;
  const T *gain_, *bias_;
  T scale_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_QK_NORM_INL_H_
