// One instance of the weights' kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/weights_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/weights_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/instances-inl.h"
#include "polariscope/attention/internal/weights-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class T>
void weights_of(const AttentionInput<T>& in, const QueryBlock& block, T* weights) {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  T* all = room<T, 0>(in.shape.keys * kMaxBlockWidth);
  write_weights(in, block, workspace<T>(in.shape), all, weights, [&](Column<T> scores, V spoilt) HWY_ATTR {
    if (in.form.rule == reweighting::RowRule::kElementwise) {
      with_function(in.form.weight, [&]<class Function>() HWY_ATTR {
        const Elementwise<Function, D> rule(in, sink_score(in, block.head), scores);
        replace_by_weights(D(), rule, spoilt, scores);
      });
    } else {
      with_rule(in.form.rule, [&]<template <class> class Rule>()
                                  HWY_ATTR { replace_by_weights(D(), Rule<D>(in.form, scores), spoilt, scores); });
    }
  });
}

// HWY_EXPORT takes no templates.
void weights_float(const AttentionInput<float>& in, const QueryBlock& block, float* weights) {
  weights_of(in, block, weights);
}
void weights_double(const AttentionInput<double>& in, const QueryBlock& block, double* weights) {
  weights_of(in, block, weights);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::attention {

HWY_EXPORT(weights_float);
HWY_EXPORT(weights_double);

template <>
void weights_of_block(const AttentionInput<float>& input, const QueryBlock& block, float* weights) {
  HWY_DYNAMIC_DISPATCH(weights_float)(input, block, weights);
}
template <>
void weights_of_block(const AttentionInput<double>& input, const QueryBlock& block, double* weights) {
  HWY_DYNAMIC_DISPATCH(weights_double)(input, block, weights);
}

}  // namespace polariscope::attention
#endif  // HWY_ONCE
