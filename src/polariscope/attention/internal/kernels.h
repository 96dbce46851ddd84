// Attention's kernels, chosen for the processor at run time.
#pragma once

#include "polariscope/attention/internal/blocks.h"

namespace polariscope {

// Numbers of type T in a SIMD vector of this processor.
template <class T>
int attention_lanes();

template <class T>
void attend_block(const AttentionInput<T>& input, const AttentionOutput<T>& output, const QueryBlock& block);

}  // namespace polariscope
