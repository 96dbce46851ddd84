// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/columns-inl.h"
#include "polariscope/attention/internal/forward-inl.h"
#include "polariscope/attention/internal/instances-inl.h"
#include "polariscope/attention/internal/tiny-inl.h"
#include "polariscope/attention/internal/tiny_backward-inl.h"
#include "polariscope/attention/internal/whole_rows-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class T>
int lanes_of() {
  return static_cast<int>(hn::Lanes(hn::ScalableTag<T>()));
}
int float_lanes() { return lanes_of<float>(); }
int double_lanes() { return lanes_of<double>(); }
std::int64_t target_bits() { return HWY_TARGET; }

template <class T>
void forward(const AttentionInput<T>& in, const AttentionOutput<T>& out, std::span<const QueryBlock> blocks,
             const QueryBlock& next) {
  const Wanted what = wanted(out.statistics);
  if (in.form.rule == reweighting::RowRule::kElementwise) {
    const BlockWorkspace<T>* works[kBlocksAtOnce];
    for (std::size_t b = 0; b < blocks.size(); ++b) works[b] = &workspace<T>(in.shape, static_cast<int>(b));
    return in.form.weight == reweighting::WeightFunction::kExp
               ? forward_blocks<true>(in, out, blocks, next, what, works)
               : forward_blocks<false>(in, out, blocks, next, what, works);
  }
  T* all = room<T, 0>(in.shape.keys * kMaxBlockWidth);
  with_rule(in.form.rule, [&]<template <class> class Rule>() {
    for (const QueryBlock& block : blocks) {
      forward_whole_rows<Rule>(in, out, block, what, workspace<T>(in.shape), all);
    }
  });
}
template <class T>
void tiny(const AttentionInput<T>& in, const AttentionOutput<T>& out, std::int64_t first, std::int64_t end) {
  T* work = room<T, 2>(TinyForward<T>::room(in.shape));
  for (; first < end; first += lanes_of<T>()) {
    TinyForward<T>(in, first, end, work).run(out, wanted(out.statistics));
  }
}
template <class T>
void tiny_backward(const AttentionInput<T>& in, const AttentionOutput<T>& out, const HeadsView<const T>& d_output,
                   const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient,
                   std::int64_t first, SharedDue* due) {
  TinyBackward<T> heads(in, first, room<T, 3>(TinyBackward<T>::room(in.shape)));
  heads.run(out, d_output, d_statistics, gradient, due);
}
template <class T>
void backward(const AttentionInput<T>& in, const AttentionOutput<T>& out, const HeadsView<const T>& d_output,
              const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient,
              const QueryBlock& block, const BackwardWorkspace<T>& back, SharedDue& due) {
  const BlockWorkspace<T>& work = workspace<T>(in.shape);
  if (in.form.rule == reweighting::RowRule::kElementwise) {
    return backward_block(in, out, d_output, d_statistics, gradient, block, work, back, due);
  }
  T* all = room<T, 0>(in.shape.keys * kMaxBlockWidth);
  T* pulled = room<T, 1>(in.shape.keys * kMaxBlockWidth);
  with_rule(in.form.rule, [&]<template <class> class Rule>() {
    backward_whole_rows<Rule>(in, out, d_output, d_statistics, gradient, block, work, back, all, pulled, due);
  });
}

template <class T>
void columns(const AttentionInput<T>& in, const T* shift, const T* inverse, const QueryBlocks& blocks,
             std::int64_t batch, std::int64_t head, std::int64_t key, int keys, double* sums, double* counts) {
  const BlockWorkspace<T>& work = workspace<T>(in.shape);
  if (in.form.rule == reweighting::RowRule::kElementwise) {
    return columns_of_tiles(in, shift, inverse, blocks, batch, head, key, keys, work, sums, counts);
  }
  T* all = room<T, 0>(in.shape.keys * kMaxBlockWidth);
  with_rule(in.form.rule, [&]<template <class> class Rule>() {
    columns_of_head<Rule>(in, blocks, batch, head, work, all, sums, counts);
  });
}

// HWY_EXPORT takes no templates.
void forward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out,
                   std::span<const QueryBlock> blocks, const QueryBlock& next) {
  forward(in, out, blocks, next);
}
void forward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out,
                    std::span<const QueryBlock> blocks, const QueryBlock& next) {
  forward(in, out, blocks, next);
}
void tiny_float(const AttentionInput<float>& in, const AttentionOutput<float>& out, std::int64_t first,
                std::int64_t end) {
  tiny(in, out, first, end);
}
void tiny_backward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out,
                         const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                         const AttentionGradient<float>& gradient, std::int64_t first, SharedDue* due) {
  tiny_backward(in, out, d_output, d_statistics, gradient, first, due);
}
void columns_float(const AttentionInput<float>& in, const float* shift, const float* inverse, const QueryBlocks& blocks,
                   std::int64_t batch, std::int64_t head, std::int64_t key, int keys, double* sums, double* counts) {
  columns(in, shift, inverse, blocks, batch, head, key, keys, sums, counts);
}
void backward_float(const AttentionInput<float>& in, const AttentionOutput<float>& out,
                    const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                    const AttentionGradient<float>& gradient, const QueryBlock& block,
                    const BackwardWorkspace<float>& work, SharedDue& due) {
  backward(in, out, d_output, d_statistics, gradient, block, work, due);
}
void tiny_double(const AttentionInput<double>& in, const AttentionOutput<double>& out, std::int64_t first,
                 std::int64_t end) {
  tiny(in, out, first, end);
}
void tiny_backward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out,
                          const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                          const AttentionGradient<double>& gradient, std::int64_t first, SharedDue* due) {
  tiny_backward(in, out, d_output, d_statistics, gradient, first, due);
}
void columns_double(const AttentionInput<double>& in, const double* shift, const double* inverse,
                    const QueryBlocks& blocks, std::int64_t batch, std::int64_t head, std::int64_t key, int keys,
                    double* sums, double* counts) {
  columns(in, shift, inverse, blocks, batch, head, key, keys, sums, counts);
}
void backward_double(const AttentionInput<double>& in, const AttentionOutput<double>& out,
                     const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                     const AttentionGradient<double>& gradient, const QueryBlock& block,
                     const BackwardWorkspace<double>& work, SharedDue& due) {
  backward(in, out, d_output, d_statistics, gradient, block, work, due);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::attention {

HWY_EXPORT(float_lanes);
HWY_EXPORT(double_lanes);
HWY_EXPORT(target_bits);
HWY_EXPORT(forward_float);
HWY_EXPORT(forward_double);
HWY_EXPORT(tiny_float);
HWY_EXPORT(tiny_backward_float);
HWY_EXPORT(columns_float);
HWY_EXPORT(tiny_double);
HWY_EXPORT(tiny_backward_double);
HWY_EXPORT(columns_double);
HWY_EXPORT(backward_float);
HWY_EXPORT(backward_double);

std::string attention_target() {
  reweighting::obey_forced_target();
  return hwy::TargetName(HWY_DYNAMIC_DISPATCH(target_bits)());
}
template <>
int attention_lanes<float>() {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(float_lanes)();
}
template <>
int attention_lanes<double>() {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(double_lanes)();
}
template <>
void attend_blocks(const AttentionInput<float>& input, const AttentionOutput<float>& output,
                   std::span<const QueryBlock> blocks, const QueryBlock& next) {
  HWY_DYNAMIC_DISPATCH(forward_float)(input, output, blocks, next);
}
template <>
void attend_blocks(const AttentionInput<double>& input, const AttentionOutput<double>& output,
                   std::span<const QueryBlock> blocks, const QueryBlock& next) {
  HWY_DYNAMIC_DISPATCH(forward_double)(input, output, blocks, next);
}
template <>
void attend_tiny_backward(const AttentionInput<float>& input, const AttentionOutput<float>& forward,
                          const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                          const AttentionGradient<float>& gradient, std::int64_t first, SharedDue* due) {
  HWY_DYNAMIC_DISPATCH(tiny_backward_float)(input, forward, d_output, d_statistics, gradient, first, due);
}
template <>
void attend_block_backward(const AttentionInput<float>& input, const AttentionOutput<float>& forward,
                           const HeadsView<const float>& d_output, const RowStatisticsGradient<float>& d_statistics,
                           const AttentionGradient<float>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<float>& work, SharedDue& due) {
  HWY_DYNAMIC_DISPATCH(backward_float)(input, forward, d_output, d_statistics, gradient, block, work, due);
}
template <>
void attend_tiny_backward(const AttentionInput<double>& input, const AttentionOutput<double>& forward,
                          const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                          const AttentionGradient<double>& gradient, std::int64_t first, SharedDue* due) {
  HWY_DYNAMIC_DISPATCH(tiny_backward_double)(input, forward, d_output, d_statistics, gradient, first, due);
}
template <>
void attend_block_backward(const AttentionInput<double>& input, const AttentionOutput<double>& forward,
                           const HeadsView<const double>& d_output, const RowStatisticsGradient<double>& d_statistics,
                           const AttentionGradient<double>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<double>& work, SharedDue& due) {
  HWY_DYNAMIC_DISPATCH(backward_double)(input, forward, d_output, d_statistics, gradient, block, work, due);
}

template <>
void attend_tile_columns(const AttentionInput<float>& input, const float* shift, const float* inverse,
                         const QueryBlocks& blocks, std::int64_t batch, std::int64_t head, std::int64_t key, int keys,
                         double* sums, double* counts) {
  HWY_DYNAMIC_DISPATCH(columns_float)(input, shift, inverse, blocks, batch, head, key, keys, sums, counts);
}

template <>
void attend_tile_columns(const AttentionInput<double>& input, const double* shift, const double* inverse,
                         const QueryBlocks& blocks, std::int64_t batch, std::int64_t head, std::int64_t key, int keys,
                         double* sums, double* counts) {
  HWY_DYNAMIC_DISPATCH(columns_double)(input, shift, inverse, blocks, batch, head, key, keys, sums, counts);
}

template <>
void attend_tiny(const AttentionInput<float>& input, const AttentionOutput<float>& output, std::int64_t first,
                 std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(tiny_float)(input, output, first, end);
}

template <>
void attend_tiny(const AttentionInput<double>& input, const AttentionOutput<double>& output, std::int64_t first,
                 std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(tiny_double)(input, output, first, end);
}

}  // namespace polariscope::attention
#endif  // HWY_ONCE
