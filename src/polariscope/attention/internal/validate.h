// What a caller of attend() may hand in.
#pragma once

#include "polariscope/attention/attend.h"

#include <string_view>

namespace polariscope::attention {

// Throws Error with what was expected and found.
template <class T>
void validate(const AttentionInput<T>& input);

// Throws Error unless the array is there, or has no elements to hold.
template <class T>
void require_array(const T* data, std::int64_t elements, std::string_view name);

// Throws Error unless the values are there, and of the keys' type.
template <class T>
void require_value(const AttentionInput<T>& input);

// That `forward` holds what these gradients need.
template <class T>
void validate(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
              const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient);

}  // namespace polariscope::attention
