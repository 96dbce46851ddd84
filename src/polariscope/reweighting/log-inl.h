// Pieces of a logarithm in single precision, for whoever needs it faster or more exact than Highway's: of
// w = 2^e (1 + f), √½ <= 1 + f < √2, it is e ln 2 + log(1 + f). Polynomial: Cephes, logf.

#if defined(POLARISCOPE_REWEIGHTING_LOG_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_LOG_INL_H_
#undef POLARISCOPE_REWEIGHTING_LOG_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_LOG_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class V>
struct PowerAndFraction {
  V power, fraction;  // e, f
};

// w: positive and normal.
template <class D, class V = hn::Vec<D>>
HWY_INLINE PowerAndFraction<V> power_and_fraction(D d, V w) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, w);
  const auto power = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3F3504F3)));
  const V one_and_fraction = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(power)));
  return {hn::ConvertTo(d, power), hn::Sub(one_and_fraction, hn::Set(d, 1.0F))};
}

// P(f) of log(1 + f) = f - f²/2 + f³ P(f).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_polynomial(D d, V f) {
  V p = hn::MulAdd(f, hn::Set(d, 7.0376836292e-2F), hn::Set(d, -1.1514610310e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, 1.1676998740e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, -1.2420140846e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, 1.4249322787e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, -1.6668057665e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, 2.0000714765e-1F));
  p = hn::MulAdd(p, f, hn::Set(d, -2.4999993993e-1F));
  return hn::MulAdd(p, f, hn::Set(d, 3.3333331174e-1F));
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_LOG_INL_H_
