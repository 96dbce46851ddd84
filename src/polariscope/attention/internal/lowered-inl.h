// Weights without bound (relu, elu + 1, z, |z|, z²) whose sums would overflow: those of such rows are lowered by a
// power of two, as exponentials are by their maximum. A row's shift says by which: its scores count as z 2^-shift, so
// that z² is lowered twice as far. 0 for all other rows, which it leaves every bit.

#if defined(POLARISCOPE_ATTENTION_LOWERED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_LOWERED_INL_H_
#undef POLARISCOPE_ATTENTION_LOWERED_INL_H_
#else
#define POLARISCOPE_ATTENTION_LOWERED_INL_H_
#endif

#include "polariscope/reweighting/functions-inl.h"
#include "polariscope/reweighting/growth.h"
#include "polariscope/reweighting/simd_math-inl.h"

#include <algorithm>
#include <cmath>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

constexpr bool is_unbounded(reweighting::WeightFunction f) { return reweighting::growth_of(f) > 0; }
constexpr bool is_square(reweighting::WeightFunction f) { return reweighting::growth_of(f) == 2; }

// 2^-shift.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> lowering(D d, hn::Vec<D> shift) {
  if (hn::AllTrue(d, hn::Eq(shift, hn::Zero(d)))) return hn::Set(d, 1);
  HWY_ALIGN T lanes[hn::MaxLanes(D())];
  hn::Store(shift, d, lanes);
  for (T& x : lanes) x = std::ldexp(T(1), -static_cast<int>(x));
  return hn::Load(d, lanes);
}

// What a weight of 1 counts in a row of that shift.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V unit_of(D d, reweighting::WeightFunction f, V shift) {
  if (!is_unbounded(f)) return hn::Set(d, 1);
  const V by = lowering(d, shift);
  return is_square(f) ? hn::Mul(by, by) : by;
}

// f(z) and its slope, lowered; `by` as lowering() gives it.
template <class V>
struct LoweredWeight {
  V weight, slope;
};
template <class Function, class D, class V = hn::Vec<D>>
HWY_INLINE LoweredWeight<V> lowered(D, V z, V by) {
  const SimdMath<D> math;
  if constexpr (is_square(Function::kFunction)) {
    const V root = hn::Mul(z, by);
    const V w = Function::weight(math, root);
    return {w, hn::Mul(Function::slope(math, root, w), by)};
  } else {
    const V w = Function::weight(math, z), slope = Function::slope(math, z, w);
    if constexpr (!is_unbounded(Function::kFunction)) return {w, slope};
    return {hn::Mul(w, by), hn::Mul(slope, by)};
  }
}

// Shifts that take weights of that size to about 1. sizes: the largest of |f(z)|, for z² of |z|.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE hn::Vec<D> shift_for(D d, hn::Vec<D> sizes) {
  constexpr int kMost = std::numeric_limits<T>::max_exponent - 8;  // 2^-shift is a normal number
  HWY_ALIGN T lanes[hn::MaxLanes(D())];
  hn::Store(sizes, d, lanes);
  for (T& x : lanes) x = static_cast<T>(x > T(0) ? std::clamp(std::ilogb(x), 0, kMost) : 0);
  return hn::Load(d, lanes);
}
template <class Function, class D, class V = hn::Vec<D>>
HWY_INLINE V size_of(D, V z) {
  return hn::Abs(is_square(Function::kFunction) ? z : Function::weight(SimdMath<D>(), z));
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_LOWERED_INL_H_
