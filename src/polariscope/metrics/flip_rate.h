// Whether the token that CLS attends to most decides what a model says. Polarisation paper, appendix E.3.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace polariscope::metrics {

struct FlipRateOptions {
  int pairs = 500;
  std::uint64_t seed = 0;
};

// Labels of a batch of sequences, tokens: [batch, length].
using PredictLabels = std::function<std::vector<std::int64_t>(std::span<const std::int64_t> tokens)>;

// For random pairs of samples with different labels: rank each one's content by the attention it has from CLS, put the
// first of the one before the other's content without its first, shuffle, append CLS, and ask `predict`; then the other
// way round. A flip is the label of the sample that gave its first token.
//
// attention: [samples, heads, queries, length], whose last query is CLS's row; its last key, CLS itself, is not ranked.
// Equal attention: the lower position first. tokens: [samples, length], CLS last. labels: [samples].
// Returns the fraction of flips among 2·pairs trials, [heads]. Pairs and shuffles are the same for every head. Trials
// of a pair with attention that is not finite are left out. Throws Error for sizes that do not fit, padded sequences,
// sequences without content, and labels that are all the same.
template <class T>
std::vector<Mean> flip_rate(const AttentionMap<T>& attention, std::span<const std::int64_t> tokens,
                            std::span<const std::int64_t> labels, const PredictLabels& predict,
                            const FlipRateOptions& options);

}  // namespace polariscope::metrics
