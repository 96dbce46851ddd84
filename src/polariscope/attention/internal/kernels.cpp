// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/kernels.h"

#include <optional>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/backward-inl.h"
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

// This thread's, made anew when the shape of heads changes.
template <class T>
const BlockWorkspace<T>& workspace(const AttentionShape& shape) {
  thread_local std::int64_t width = -1, value_width = -1;
  thread_local std::optional<BlockWorkspace<T>> work;
  if (width != shape.width || value_width != shape.value_width) {
    work.emplace(shape, kQuantities);
    width = shape.width;
    value_width = shape.value_width;
  }
  return *work;
}

// Calls run.template operator()<Function>() for the form's weight function.
template <class Run>
void with_function(WeightFunction function, const Run& run) {
  switch (function) {
    case WeightFunction::kExp: return run.template operator()<ExpFunction>();
    case WeightFunction::kSigmoid: return run.template operator()<SigmoidFunction>();
    case WeightFunction::kRelu: return run.template operator()<ReluFunction>();
    case WeightFunction::kElu1: return run.template operator()<Elu1Function>();
    case WeightFunction::kIdentity: return run.template operator()<IdentityFunction>();
    case WeightFunction::kAbs: return run.template operator()<AbsFunction>();
    case WeightFunction::kSquare: return run.template operator()<SquareFunction>();
    case WeightFunction::kOne: return run.template operator()<OneFunction>();
  }
}

template <class T>
void forward(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block) {
  with_function(in.form.weight, [&]<class Function>() {
    forward_block<Function>(in, out, block, wanted(out.statistics), workspace<T>(in.shape));
  });
}
template <class T>
void backward(const AttentionInput<T>& in, const AttentionOutput<T>& out, const HeadsView<const T>& d_output,
              const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient,
              const QueryBlock& block, const BackwardWorkspace<T>& work, double& d_sink) {
  with_function(in.form.weight, [&]<class Function>() {
    backward_block<Function>(in, out, d_output, d_statistics, gradient, block, workspace<T>(in.shape), work, d_sink);
  });
}

// HWY_EXPORT takes no templates.
void forward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out, const QueryBlock& block) {
  forward(in, out, block);
}
void forward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out, const QueryBlock& block) {
  forward(in, out, block);
}
void backward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out,
                    const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                    const AttentionGradient<float>& gradient, const QueryBlock& block,
                    const BackwardWorkspace<float>& work, double& d_sink) {
  backward(in, out, d_output, d_statistics, gradient, block, work, d_sink);
}
void backward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out,
                     const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                     const AttentionGradient<double>& gradient, const QueryBlock& block,
                     const BackwardWorkspace<double>& work, double& d_sink) {
  backward(in, out, d_output, d_statistics, gradient, block, work, d_sink);
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
HWY_EXPORT(backward_float);
HWY_EXPORT(backward_double);

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
template <>
void attend_block_backward(const AttentionInput<float>& input, const AttentionOutput<float>& forward,
                           const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                           const AttentionGradient<float>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<float>& work, double& d_sink) {
  HWY_DYNAMIC_DISPATCH(backward_float)(input, forward, d_output, d_statistics, gradient, block, work, d_sink);
}
template <>
void attend_block_backward(const AttentionInput<double>& input, const AttentionOutput<double>& forward,
                           const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                           const AttentionGradient<double>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<double>& work, double& d_sink) {
  HWY_DYNAMIC_DISPATCH(backward_double)(input, forward, d_output, d_statistics, gradient, block, work, d_sink);
}

}  // namespace polariscope
#endif  // HWY_ONCE
