// Attention's kernels, chosen for the processor at run time.
#pragma once

#include "polariscope/attention/internal/blocks.h"

namespace polariscope {

// Numbers of type T in a SIMD vector of this processor.
template <class T>
int attention_lanes();

template <class T>
void attend_block(const AttentionInput<T>& input, const AttentionOutput<T>& output, const QueryBlock& block);

// Adds to `work`'s gradients of keys and values and to d_sink; writes those of its queries and their bias.
template <class T>
void attend_block_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                           const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                           const AttentionGradient<T>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<T>& work, double& d_sink);

}  // namespace polariscope
