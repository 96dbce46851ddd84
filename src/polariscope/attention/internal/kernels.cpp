// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/kernels.h"

#include <optional>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/forward-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {

template <class T>
int lanes_of() {
  return static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
}
int float_lanes() { return lanes_of<float>(); }
int double_lanes() { return lanes_of<double>(); }

template <class T>
void forward(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block) {
  thread_local AttentionShape shape{.width = -1};
  thread_local std::optional<BlockWorkspace<T>> work;
  if (shape.width != in.shape.width || shape.value_width != in.shape.value_width) {
    work.emplace(in.shape, kQuantities);
    shape = in.shape;
  }
  const Wanted what = wanted(out.statistics);
  switch (in.form.weight) {
    case WeightFunction::kExp: return forward_block<ExpFunction>(in, out, block, what, *work);
    case WeightFunction::kSigmoid: return forward_block<SigmoidFunction>(in, out, block, what, *work);
    case WeightFunction::kRelu: return forward_block<ReluFunction>(in, out, block, what, *work);
    case WeightFunction::kElu1: return forward_block<Elu1Function>(in, out, block, what, *work);
    case WeightFunction::kIdentity: return forward_block<IdentityFunction>(in, out, block, what, *work);
    case WeightFunction::kAbs: return forward_block<AbsFunction>(in, out, block, what, *work);
    case WeightFunction::kSquare: return forward_block<SquareFunction>(in, out, block, what, *work);
    case WeightFunction::kOne: return forward_block<OneFunction>(in, out, block, what, *work);
  }
}
void forward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out, const QueryBlock& block) {
  forward(in, out, block);
}
void forward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out, const QueryBlock& block) {
  forward(in, out, block);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope {

HWY_EXPORT(float_lanes);
HWY_EXPORT(double_lanes);
HWY_EXPORT(forward_float);
HWY_EXPORT(forward_double);

template <>
int attention_lanes<float>() {
  return HWY_DYNAMIC_DISPATCH(float_lanes)();
}
template <>
int attention_lanes<double>() {
  return HWY_DYNAMIC_DISPATCH(double_lanes)();
}
template <>
void attend_block(const AttentionInput<float>& input, const AttentionOutput<float>& output, const QueryBlock& block) {
  HWY_DYNAMIC_DISPATCH(forward_float)(input, output, block);
}
template <>
void attend_block(const AttentionInput<double>& input, const AttentionOutput<double>& output, const QueryBlock& block) {
  HWY_DYNAMIC_DISPATCH(forward_double)(input, output, block);
}

}  // namespace polariscope
#endif  // HWY_ONCE
