// What a caller hands in over the C interface, as attention takes it.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/c_api.h"

namespace polariscope::c_api {

// Throw Error for a structure that is missing, of no known size, or that says what cannot be; arrays themselves are
// for attention to check.
polariscope_attention known(const polariscope_attention* attention);
polariscope_rows known(const polariscope_rows* rows);

template <class T>
attention::AttentionInput<T> input_of(const polariscope_attention& attention);

// Throws Error as written().
template <class T>
attention::AttentionOutput<T> output_of(const polariscope_rows& rows, const polariscope_attention& attention);

// An array [batch, heads, rows, width] that is written: throws Error if one number of it may lie upon another.
template <class T>
attention::HeadsView<T> written(const polariscope_heads& array, const polariscope_attention& attention,
                                std::int64_t heads, std::int64_t rows, std::int64_t width, const char* name);

}  // namespace polariscope::c_api
