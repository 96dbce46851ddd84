// Attention entropy, in nats, and what makes it comparable between rows of different length.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <cstdint>
#include <span>
#include <vector>

namespace polariscope::metrics {

// All of these are of the shares p_j = w_j/Σw over the N keys that a row sees; abs_ ones of |w_j|/Σ|w|. A row is
// undefined, and left out of the mean, where a weight is not finite or, but for abs_ ones, negative. A row without any
// weight counts as 0. Means over rows and samples, [heads].

// H = -Σ p log p, in [0, log N]. Zhai et al. 2023; Lipschitz paper (4), (5).
template <class T>
std::vector<Mean> entropy(const AttentionMap<T>& weights);
template <class T>
std::vector<Mean> abs_entropy(const AttentionMap<T>& weights);
template <class T>
double row_abs_entropy(std::span<const T> row);  // NaN where undefined

// H/log N, in [0, 1]; undefined for N = 1, as in the first row under a causal mask.
template <class T>
std::vector<Mean> relative_entropy(const AttentionMap<T>& weights);
template <class T>
std::vector<Mean> abs_relative_entropy(const AttentionMap<T>& weights);

// H̃ = H/(H_max - H), H_max = log N; Lipschitz paper (7). It diverges at the uniform row, so H_max - H is taken as at
// least 1e-9. Undefined for N = 1.
double normalised_entropy(double entropy, double maximum);

struct NormalisedEntropy {
  Mean mean;
  std::int64_t clamped = 0;  // rows nearer to uniform than that
};
template <class T>
std::vector<NormalisedEntropy> normalised_entropy(const AttentionMap<T>& weights);

}  // namespace polariscope::metrics
