// How much of a head's attention the first token takes. Polarisation paper, appendix E.1.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// Both are over queries 1 to T - 3 of a sequence of T tokens: the first and the last two are left out. Weights are as
// they are, signed. A row without any weight counts as 0; a quotient that is not finite is left out, as is one of
// weights that are not. A sequence of less than four tokens has no such queries. Throws Error unless queries and keys
// are the same tokens.

// Mean over samples and queries of A_i0/Σ_j A_ij, [heads].
template <class T>
std::vector<Mean> first_token_share(const AttentionMap<T>& weights);

// The paper's public code: mean over samples of Σ_i A_i0 / Σ_ij A_ij, not clipped, [heads].
template <class T>
std::vector<Mean> first_token_ratio_of_sums(const AttentionMap<T>& weights);

// E.1: the mean share clipped to [0, 1]; NaN where there is none.
double sink_score(const Mean& first_token_share);
constexpr double kSinkScoreThreshold = 0.9;  // a sink head scores more

}  // namespace polariscope::metrics
