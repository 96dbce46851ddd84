// What a caller of attend() may hand in.
#pragma once

#include "polariscope/attention/attend.h"

namespace polariscope {

// Throws Error with what was expected and found.
template <class T>
void validate(const AttentionInput<T>& input);

// That `forward` holds what the gradients of these statistics need.
template <class T>
void validate(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
              const RowStatisticsGradient<T>& d_statistics);

}  // namespace polariscope
