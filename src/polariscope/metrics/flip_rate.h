// Whether the token that CLS attends to most decides what a model says. Polarisation paper, appendix E.3.
#pragma once

#include "polariscope/base/random.h"
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

// Two samples of different labels, and the random numbers that shuffle what is made of them.
struct FlipPair {
  std::size_t first, second;
  RandomStream random;
};

// Drawn at random. They need labels alone, so that a caller with many samples can tell beforehand which few it must
// keep. Throws Error for no pair, and for labels that are all the same.
std::vector<FlipPair> draw_flip_pairs(std::span<const std::int64_t> labels, const FlipRateOptions& options);

// Labels of a batch of sequences, tokens: [batch, length].
using PredictLabels = std::function<std::vector<std::int64_t>(std::span<const std::int64_t> tokens)>;

// For each pair of samples: rank each one's content by the attention it has from CLS, put the first of the one before
// the other's content without its first, shuffle, append CLS, and ask `predict`; then the other way round. A flip is
// the label of the sample that gave its first token.
//
// attention: [samples, heads, queries, length], whose last query is CLS's row; its last key, CLS itself, is not ranked.
// Equal attention: the lower position first. tokens: [samples, length], CLS last. labels: [samples].
// Returns the fraction of flips among two trials a pair, [heads]; shuffles are the same for every head. Trials of a
// pair with attention that is not finite are left out. Throws Error for sizes that do not fit, pairs of samples that
// there are not, padded sequences, and sequences without content.
template <class T>
std::vector<Mean> flip_rate(const AttentionMap<T>& attention, std::span<const std::int64_t> tokens,
                            std::span<const std::int64_t> labels, std::span<const FlipPair> pairs,
                            const PredictLabels& predict);

}  // namespace polariscope::metrics
