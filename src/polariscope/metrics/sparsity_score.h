// How much of a query's attention its favourite key takes. Polarisation paper, appendix E.2.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// max_j w_ij/Σ_j w_ij, in [1/N, 1]; abs_: of |w|. Mean over samples and queries that are no padding, [heads]. A row
// without any weight counts as 0. Undefined, and left out, where a weight is not finite or, but for abs_, negative.
template <class T>
std::vector<Mean> sparsity_score(const AttentionMap<T>& weights);
template <class T>
std::vector<Mean> abs_sparsity_score(const AttentionMap<T>& weights);

// max_j w_ij as it is: what the paper's public code takes of its sigmoid model. Rows as above, signed.
template <class T>
std::vector<Mean> maximum_weight(const AttentionMap<T>& weights);

}  // namespace polariscope::metrics
