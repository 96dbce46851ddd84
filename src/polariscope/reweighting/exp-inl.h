// e^x for vectors: of doubles with a short dependency chain, since one trajectory is a chain of exponentials;
// of floats with few operations, since attention takes one for every pair of tokens.

#if defined(POLARISCOPE_REWEIGHTING_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_EXP_INL_H_
#undef POLARISCOPE_REWEIGHTING_EXP_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_EXP_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// d: double lanes. Error below 1.5 ulp for |x| <= 40, below 5 ulp for |x| <= 708, where the rounding of x
// itself is worth hundreds; below that range 0, above it infinity, NaN stays NaN (Highway's Exp turns it into 0).
//
//   q = round(x / ln 2),  r = x - q ln 2,  e^x = 2^q (1 + r + r² P(r)),  |r| <= ln 2 / 2
//
// P is the Chebyshev interpolant of (e^r - 1 - r)/r² of degree 9: relative error 1.6e-17 of e^x.
// The result waits for P alone: P is taken at r₀, before the last correction of r, and 2^q (1 + r) and
// 2^q r² are ready before it.
template <class D, class V = hn::Vec<D>>
requires(sizeof(hn::TFromD<D>) == 8) HWY_INLINE V fast_exp(D d, V x) {
  const hn::RebindToUnsigned<D> bits;
  // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low mantissa bits.
  const V magic = hn::Set(d, 0x1.8p52);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.4426950408889634), magic);
  const V q = hn::Sub(shifted, magic);
#if HWY_NATIVE_FMA
  const V r0 = hn::NegMulAdd(q, hn::Set(d, 0x1.62e42fefa39efp-1), x);
  const V r = hn::NegMulAdd(q, hn::Set(d, 2.3190468138462996e-17), r0);
#else
  // Without a fused product the leading part of ln 2 is cut to 32 bits, so that its product with q is exact.
  const V coarse = hn::Sub(x, hn::Mul(q, hn::Set(d, 0x1.62e42feep-1)));
  const V r = hn::Sub(coarse, hn::Mul(q, hn::Set(d, 0x1.a39ef35793c76p-33)));
  const V r0 = r;
#endif

  const V r2 = hn::Mul(r0, r0);
  const V c01 = hn::MulAdd(hn::Set(d, 0.16666666666666669), r0, hn::Set(d, 0.5000000000000001));
  const V c23 = hn::MulAdd(hn::Set(d, 0.008333333333330062), r0, hn::Set(d, 0.04166666666662413));
  const V c45 = hn::MulAdd(hn::Set(d, 0.00019841269863053618), r0, hn::Set(d, 0.0013888888917213717));
  const V c67 = hn::MulAdd(hn::Set(d, 2.7557268459997064e-06), r0, hn::Set(d, 2.4801521295954376e-05));
  const V c89 = hn::MulAdd(hn::Set(d, 2.510038549551032e-08), r0, hn::Set(d, 2.7620088445409746e-07));
  const V r4 = hn::Mul(r2, r2);
  const V c03 = hn::MulAdd(c23, r2, c01);
  const V c47 = hn::MulAdd(c67, r2, c45);
  const V r8 = hn::Mul(r4, r4);
  const V polynomial = hn::MulAdd(c89, r8, hn::MulAdd(c47, r4, c03));

  const V scale =
      hn::BitCast(d, hn::ShiftLeft<52>(hn::Add(hn::BitCast(bits, shifted), hn::Set(bits, std::uint64_t{1023}))));
  const V result = hn::MulAdd(polynomial, hn::Mul(scale, hn::Mul(r, r)), hn::MulAdd(scale, r, scale));

  const V limit = hn::Set(d, 708.0);
  const V beyond = hn::IfThenElseZero(hn::Lt(limit, x), hn::Set(d, std::numeric_limits<double>::infinity()));
  return hn::IfThenElse(hn::Lt(limit, hn::Abs(x)), beyond, result);
}

// d: float lanes, -87 <= x <= 87, else the result has no meaning. Error below 1.5 ulp for |x| <= 20, 5 ulp at 87.
//
// As above, with e^r = 1 + r Q(r), Q of degree 4 by Remez's exchange: relative error 9.1e-8. The rounding of
// ln 2 to a float costs q·1.9e-9 of e^x, so that one product reduces x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_in_range(D d, V x) {
  const hn::RebindToUnsigned<D> bits;
  const V magic = hn::Set(d, 0x1.8p23f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V r = hn::NegMulAdd(hn::Sub(shifted, magic), hn::Set(d, 0.693147181f), x);
  V p = hn::MulAdd(hn::Set(d, 0.0082903147f), r, hn::Set(d, 0.0418979293f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.166676362f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.499991495f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.999999707f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  // q stands in the low bits of `shifted`: added to the exponent's.
  return hn::BitCast(d, hn::Add(hn::BitCast(bits, p), hn::ShiftLeft<23>(hn::BitCast(bits, shifted))));
}

// d: float lanes. As exp_in_range(); below -87 0, above 87 infinity, NaN stays NaN.
template <class D, class V = hn::Vec<D>>
requires(sizeof(hn::TFromD<D>) == 4) HWY_INLINE V fast_exp(D d, V x) {
  const V limit = hn::Set(d, 87.0f);
  const V beyond = hn::IfThenElseZero(hn::Lt(limit, x), hn::Set(d, std::numeric_limits<float>::infinity()));
  const V result = hn::IfThenElse(hn::Lt(limit, hn::Abs(x)), beyond, exp_in_range(d, x));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

#if HWY_TARGET <= HWY_AVX3
// d: float lanes, x <= 87. With y = x log₂ e: 2^{y - ⌊y⌋} by a polynomial of degree 5 on [0, 1), fitted as above to a
// relative error of 8.2e-8 with e⁰ = 1 exactly, and 2^⌊y⌋ by the instruction made for it. The rounding of y costs
// |x|·6e-8 of e^x, as the rounding of a difference x = z - m does.
template <class D, class V = hn::Vec<D>>
requires(sizeof(hn::TFromD<D>) == 4 && hn::MaxLanes(D()) == 16) HWY_INLINE V exp_below(D d, V x) {
  constexpr int kFloor = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const V y = hn::Mul(x, hn::Set(d, 1.44269504f));
  const V r{_mm512_reduce_ps(y.raw, kFloor)};
  V p = hn::MulAdd(hn::Set(d, 0.00186713482f), r, hn::Set(d, 0.00901702046f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.0557999201f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.240164444f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.693151295f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return V{_mm512_scalef_ps(p.raw, y.raw)};
}
#else
// d: float lanes, x <= 87; below -87 as there, which is nothing beside 1. For NaN it has no meaning.
template <class D, class V = hn::Vec<D>>
requires(sizeof(hn::TFromD<D>) == 4) HWY_INLINE V exp_below(D d, V x) {
  return exp_in_range(d, hn::Max(x, hn::Set(d, -87.0f)));
}
#endif
template <class D, class V = hn::Vec<D>>
requires(sizeof(hn::TFromD<D>) == 8) HWY_INLINE V exp_below(D d, V x) { return fast_exp(d, x); }

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_EXP_INL_H_
