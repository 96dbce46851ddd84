// The median of |x|, of millions of numbers in about two readings of them.
#pragma once

#include "polariscope/models/pretrained/cpu_rows.h"

namespace polariscope::audit {

// Of an even count the mean of the middle two, as base/quantiles.h. All numbers are finite; at least one.
template <class T>
double median_magnitude(const models::Rows<T>& x, int threads);

}  // namespace polariscope::audit
