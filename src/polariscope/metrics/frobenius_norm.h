// The size of an attention map as a matrix.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// ‖P‖_F = sqrt(Σ_ij p_ij²) of a sample's map over visible keys, of the weights as they are; mean over samples, [heads].
// With rows that sum to one in [1, √N] for N queries and keys, under a causal mask at least sqrt(Σ_i 1/i).
// Lipschitz paper, Proposition 5.2. A map with a weight that is not finite is left out.
template <class T>
std::vector<Mean> frobenius_norm(const AttentionMap<T>& weights);

}  // namespace polariscope::metrics
