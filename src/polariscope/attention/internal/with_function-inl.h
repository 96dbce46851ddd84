// From a weight function's name to its code. Kernels take the turn here at every column of scores, so that what stands
// around a column is not compiled for each function; where exponentials go a way of their own, for these and for the
// rest.

#if defined(POLARISCOPE_ATTENTION_WITH_FUNCTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_WITH_FUNCTION_INL_H_
#undef POLARISCOPE_ATTENTION_WITH_FUNCTION_INL_H_
#else
#define POLARISCOPE_ATTENTION_WITH_FUNCTION_INL_H_
#endif

#include "polariscope/reweighting/functions-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class Function>
inline constexpr bool kIsExponential = Function::kFunction == reweighting::WeightFunction::kExp;

// Calls run.template operator()<Function>() with the code of a function, and returns what it returns.
template <class Run>
HWY_INLINE auto with_function(reweighting::WeightFunction function, const Run& run) {
  switch (function) {
    case reweighting::WeightFunction::kExp: return run.template operator()<ExpFunction>();
    case reweighting::WeightFunction::kSigmoid: return run.template operator()<SigmoidFunction>();
    case reweighting::WeightFunction::kRelu: return run.template operator()<ReluFunction>();
    case reweighting::WeightFunction::kElu1: return run.template operator()<Elu1Function>();
    case reweighting::WeightFunction::kIdentity: return run.template operator()<IdentityFunction>();
    case reweighting::WeightFunction::kAbs: return run.template operator()<AbsFunction>();
    case reweighting::WeightFunction::kSquare: return run.template operator()<SquareFunction>();
    case reweighting::WeightFunction::kOne: break;
  }
  return run.template operator()<OneFunction>();
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_WITH_FUNCTION_INL_H_
