// Weight functions f and their slopes f', written once for every kind of number and compiled once for
// every instruction set.
//
// `Math` says how to compute with `Real`: doubles, complex numbers (the conformance test's
// complex-step derivative) or SIMD vectors. Adding a function is one struct here and one row in
// table-inl.h. slope() takes the weight already computed, so that no exponential is paid twice.
// NaN in, NaN out: comparisons are written so that NaN takes the branch that keeps it.

#if defined(POLARISCOPE_REWEIGHTING_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_FUNCTIONS_INL_H_
#undef POLARISCOPE_REWEIGHTING_FUNCTIONS_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_FUNCTIONS_INL_H_
#endif

#include "polariscope/reweighting/reweighting.h"

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {

// f = e^z. Rows subtract their maximum first: p is unchanged and nothing overflows.
struct ExpFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kExp;
  static constexpr bool kShifted = true;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    return math.exp(z);
  }
  template <class Math, class Real>
  static Real slope(Math, Real, Real weight) {
    return weight;
  }
};

// f = 1 / (1 + e^-z), from e^-|z| so that neither tail overflows.
struct SigmoidFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kSigmoid;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    const Real one = math.constant(1.0);
    const Real tail = math.exp(math.negate(math.abs(z)));
    return math.select(math.less(z, math.constant(0.0)), tail, one) / (one + tail);
  }
  template <class Math, class Real>
  static Real slope(Math math, Real, Real weight) {
    return weight * (math.constant(1.0) - weight);
  }
};

// f = max(z, 0); the slope at the kink is 0, as in PyTorch.
struct ReluFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kRelu;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    const Real zero = math.constant(0.0);
    return math.select(math.less(z, zero), zero, z);
  }
  template <class Math, class Real>
  static Real slope(Math math, Real z, Real) {
    const Real zero = math.constant(0.0);
    return math.select(math.less(zero, z), math.constant(1.0), zero);
  }
};

// f = elu(z) + 1: z + 1 above zero, e^z below; continuously differentiable.
struct Elu1Function {
  static constexpr WeightFunction kFunction = WeightFunction::kElu1;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    const Real zero = math.constant(0.0);
    const auto above = math.less(zero, z);
    return math.select(above, z + math.constant(1.0), math.exp(math.select(above, zero, z)));
  }
  template <class Math, class Real>
  static Real slope(Math math, Real z, Real weight) {
    return math.select(math.less(math.constant(0.0), z), math.constant(1.0), weight);
  }
};

struct IdentityFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kIdentity;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math, Real z) {
    return z;
  }
  template <class Math, class Real>
  static Real slope(Math math, Real, Real) {
    return math.constant(1.0);
  }
};

// f = |z|; the slope at the kink is 0.
struct AbsFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kAbs;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    return math.abs(z);
  }
  template <class Math, class Real>
  static Real slope(Math math, Real z, Real) {
    const Real zero = math.constant(0.0);
    const Real one = math.constant(1.0);
    return math.select(math.less(zero, z), one, math.select(math.less(z, zero), math.negate(one), zero));
  }
};

struct SquareFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kSquare;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math, Real z) {
    return z * z;
  }
  template <class Math, class Real>
  static Real slope(Math, Real z, Real) {
    return z + z;
  }
};

// f = 1 whatever the score, except that NaN stays NaN.
struct OneFunction {
  static constexpr WeightFunction kFunction = WeightFunction::kOne;
  static constexpr bool kShifted = false;
  template <class Math, class Real>
  static Real weight(Math math, Real z) {
    return math.select(math.is_nan(z), z, math.constant(1.0));
  }
  template <class Math, class Real>
  static Real slope(Math math, Real, Real) {
    return math.constant(0.0);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_FUNCTIONS_INL_H_
