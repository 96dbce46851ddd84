// The weights of attention as a matrix, for looking at and for measures that need every one of them.
#pragma once

#include "polariscope/attention/attend.h"

#include <cstdint>

namespace polariscope::attention {

// p of queries [first, first + count) of every head, [batch, heads, count, keys]: exactly 0 where a query does not see
// a key; NaN at every key that a row sees if a score of it is NaN or infinite. `value` of the input is not read. A
// matrix taken a few rows at a time has the same bits. Threads and errors as attend(); Error too for rows out of range.
template <class T>
void attention_weights(const AttentionInput<T>& input, std::int64_t first, std::int64_t count, T* weights,
                       int threads = 0);

}  // namespace polariscope::attention
