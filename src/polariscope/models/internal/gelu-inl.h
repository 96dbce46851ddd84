// The exact GELU, x Φ(x) (Hendrycks and Gimpel 2016), and its slope Φ(x) + x φ(x), from one exponential.

#if defined(POLARISCOPE_MODELS_GELU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_GELU_INL_H_
#undef POLARISCOPE_MODELS_GELU_INL_H_
#else
#define POLARISCOPE_MODELS_GELU_INL_H_
#endif

#include "polariscope/reweighting/exp-inl.h"

#include <cmath>
#include <cstdint>
#include <numbers>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using namespace reweighting::HWY_NAMESPACE;

// With u = |x| and t = 1/(1 + 0.35 u): Φ(-u) = e^{-u²/2} t P(t), P of degree 8, fitted to erfcx(u/√2)/(2t) for
// u <= 13 by iteratively reweighted least squares; relative error 2e-7 in single precision. Φ(u) = 1 - Φ(-u).
template <class D, class V = hn::Vec<D>>
HWY_INLINE void gelu(D d, V x, V& value, V& slope) {
  const V one = hn::Set(d, 1.0f);
  const V denominator = hn::MulAdd(hn::Set(d, 0.35f), hn::Min(hn::Abs(x), hn::Set(d, 1e6f)), one);
  // An estimate of 11 bits or more and a step of Newton's: a division takes as long as the rest.
  const V guess = hn::ApproximateReciprocal(denominator);
  const V t = hn::MulAdd(guess, hn::NegMulAdd(guess, denominator, one), guess);
  V p = hn::MulAdd(hn::Set(d, -0.029095206f), t, hn::Set(d, 0.143720075f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.255183309f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.158553526f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.0226715971f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.105317235f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.119882688f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.139854759f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.139621824f));
  const V exponent = hn::Mul(hn::Set(d, -0.5f), hn::Mul(x, x));
  const V density = exp_in_range(d, hn::Max(exponent, hn::Set(d, -87.0f)));
  const V below = hn::Mul(density, hn::Mul(t, p));
  const V cumulative = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), below, hn::Sub(one, below));
  value = hn::Mul(x, cumulative);
  slope = hn::MulAdd(hn::Mul(x, density), hn::Set(d, 0.398942280f), cumulative);
}

// value = gelu(x + bias) by rows; x becomes the slope there. NaN stays NaN.
inline void gelu_rows(std::int64_t rows, std::int64_t width, const float* bias, float* x, float* value) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto apply = [&](auto tag, std::int64_t i) HWY_ATTR {
    hn::Vec<decltype(tag)> v, s;
    gelu(tag, hn::Add(hn::LoadU(tag, x + i), hn::LoadU(tag, bias + i)), v, s);
    hn::StoreU(v, tag, value + i);
    hn::StoreU(s, tag, x + i);
  };
  for (std::int64_t r = 0; r < rows; ++r, x += width, value += width) {
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) apply(d, i);
    for (; i < width; ++i) apply(one, i);
  }
}
inline void gelu_rows(std::int64_t rows, std::int64_t width, const double* bias, double* x, double* value) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, value += width) {
    for (std::int64_t i = 0; i < width; ++i) {
      const double at = x[i] + bias[i];
      const double cumulative = 0.5 * std::erfc(-at / std::numbers::sqrt2);
      const double density = std::exp(-0.5 * at * at) / std::sqrt(2.0 * std::numbers::pi);
      value[i] = at * cumulative;
      x[i] = cumulative + at * density;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_GELU_INL_H_
