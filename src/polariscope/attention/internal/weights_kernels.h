// The kernel of attention_weights(), chosen for the processor at run time; apart from the others, so that both compile
// at once.
#pragma once

#include "polariscope/attention/internal/blocks.h"

namespace polariscope::attention {

// weights: of the block's queries, [block.count, keys].
template <class T>
void weights_of_block(const AttentionInput<T>& input, const QueryBlock& block, T* weights);

}  // namespace polariscope::attention
