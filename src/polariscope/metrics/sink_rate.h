// How often a position is an attention sink. Gu et al. 2024, "When attention sink emerges in language models".
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <cstdint>
#include <vector>

namespace polariscope::metrics {

// Both are of the shares |w_ij|/Σ_j|w_ij|, which serves weights of either sign. `position` counts from 0, where the
// paper's k counts from 1. A sample is left out where a weight of the rows in question is not finite, or where its
// sequence does not reach the position. Throws Error for a negative position and unless queries and keys are the same
// tokens.

// α = mean over queries i >= position of the share that key `position` has of row i, in [0, 1]; mean over samples,
// [heads].
template <class T>
std::vector<Mean> importance_score(const AttentionMap<T>& weights, std::int64_t position);

// Fraction of samples with α > epsilon, [heads]; the paper takes sequences of 64 tokens and pools layers and heads.
template <class T>
std::vector<Mean> sink_rate(const AttentionMap<T>& weights, std::int64_t position = 0, double epsilon = 0.3);

}  // namespace polariscope::metrics
