// Attention of kernels, φ(q)·φ(k), without its pairs: O(rows·width²). Equations: linear_kernels.h.
#pragma once

#include "polariscope/attention/attend.h"

namespace polariscope::attention {

// Whether all that is asked for comes in linear time: no bias, slopes or window, and nothing that needs every weight.
template <class T>
bool linear_serves(const AttentionInput<T>& input, const AttentionOutput<T>& output);
template <class T>
bool linear_serves(const AttentionInput<T>& input, const RowStatisticsGradient<T>& d_statistics,
                   const AttentionGradient<T>& gradient);

// Whether it is faster than all pairs, as measured (docs/benchmarks.md).
bool linear_is_faster(const AttentionShape& shape, bool causal);

// As attend() and attend_backward(), of what is served. Returns false, what it has written being worthless, where sums
// of finite features leave the range of T or the forward pass lowered its weights: that is for the kernels of all
// pairs.
template <class T>
bool attend_linear(const AttentionInput<T>& input, const AttentionOutput<T>& output, int threads);
template <class T>
bool attend_linear_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                            const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                            const AttentionGradient<T>& gradient, int threads);

}  // namespace polariscope::attention
