// Arithmetic on vectors of doubles or floats, as the weight functions (functions-inl.h) ask for it.

#if defined(POLARISCOPE_REWEIGHTING_SIMD_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_SIMD_MATH_INL_H_
#undef POLARISCOPE_REWEIGHTING_SIMD_MATH_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_SIMD_MATH_INL_H_
#endif

#include "polariscope/reweighting/exp-inl.h"

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Arithmetic on the lanes of one vector type; lanes are independent.
template <class Tag>
struct SimdMath {
  using Lane = hn::TFromD<Tag>;
  using Real = hn::Vec<Tag>;
  using Mask = hn::Mask<Tag>;
  static HWY_INLINE int lanes() { return static_cast<int>(hn::Lanes(Tag())); }

  HWY_INLINE Real constant(double value) const { return hn::Set(Tag(), static_cast<Lane>(value)); }
  HWY_INLINE Real lowest() const { return constant(-std::numeric_limits<double>::infinity()); }
  HWY_INLINE Real exp(Real x) const { return fast_exp(Tag(), x); }
  HWY_INLINE Real log1p(Real x) const { return hn::Log1p(Tag(), x); }
  HWY_INLINE Real sqrt(Real x) const { return hn::Sqrt(x); }
  HWY_INLINE Real abs(Real x) const { return hn::Abs(x); }
  HWY_INLINE Real negate(Real x) const { return hn::Neg(x); }
  HWY_INLINE Real max(Real a, Real b) const { return hn::Max(a, b); }
  HWY_INLINE Real multiply_add(Real a, Real b, Real c) const { return hn::MulAdd(a, b, c); }
  HWY_INLINE Mask less(Real a, Real b) const { return hn::Lt(a, b); }
  HWY_INLINE Mask is_nan(Real x) const { return hn::IsNaN(x); }
  HWY_INLINE Mask either(Mask a, Mask b) const { return hn::Or(a, b); }
  HWY_INLINE bool any(Mask condition) const { return !hn::AllFalse(Tag(), condition); }
  HWY_INLINE bool all(Mask condition) const { return hn::AllTrue(Tag(), condition); }
  HWY_INLINE Real select(Mask condition, Real yes, Real no) const { return hn::IfThenElse(condition, yes, no); }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_SIMD_MATH_INL_H_
