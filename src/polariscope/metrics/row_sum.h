// What a row's weights add up to: 1 where they are normalised, a number of its own where they are not.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// Σ_j w_j of a row, signed; mean over rows and samples, [heads]. Rows with a weight that is not finite are left out.
template <class T>
std::vector<Mean> row_sum(const AttentionMap<T>& weights);

}  // namespace polariscope::metrics
