// Attention's kernels, chosen for the processor at run time.
#pragma once

#include "polariscope/attention/internal/blocks.h"

#include <span>
#include <string>

namespace polariscope::attention {

// Name of the instruction set in use: "AVX3", "AVX2", ...
std::string attention_target();

// Numbers of type T in a SIMD vector of this processor.
template <class T>
int attention_lanes();

// At most kBlocksAtOnce blocks of one head. next: the block that this thread will probably take then; what it reads
// first is fetched in passing.
template <class T>
void attend_blocks(const AttentionInput<T>& input, const AttentionOutput<T>& output, std::span<const QueryBlock> blocks,
                   const QueryBlock& next);

// Heads [first, end) of batch * heads, a vector of them at a time; is_tiny(input) must hold.
template <class T>
void attend_tiny(const AttentionInput<T>& input, const AttentionOutput<T>& output, std::int64_t first,
                 std::int64_t end);

// The gradients of the heads from `first` that a vector holds, each having keys of its own. due: one a head, to be
// added to.
template <class T>
void attend_tiny_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                          const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                          const AttentionGradient<T>& gradient, std::int64_t first, SharedDue* due);

// Adds to `work`'s gradients of keys and values and to `due`; writes those of its queries and their bias.
template <class T>
void attend_block_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
                           const HeadsView<const T>& d_output, const RowStatisticsGradient<T>& d_statistics,
                           const AttentionGradient<T>& gradient, const QueryBlock& block,
                           const BackwardWorkspace<T>& work, SharedDue& due);

// Keys [key, key + keys) of a head; all of them for a rule of the whole row. sums, counts: [keys], to be added to.
template <class T>
void attend_tile_columns(const AttentionInput<T>& input, const T* shift, const T* inverse, const QueryBlocks& blocks,
                         std::int64_t batch, std::int64_t head, std::int64_t key, int keys, double* sums,
                         double* counts);

}  // namespace polariscope::attention
