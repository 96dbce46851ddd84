// How far a row's weights lean to a few large ones.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// S = (1/N) Σ_j ((w_j - μ)/σ)³ over the N keys that a row sees, μ and σ their mean and population deviation; mean over
// rows and samples, [heads]. 0 for equal weights. At most (N - 2)/√(N - 1), that of one-hot rows. Lipschitz paper (21),
// whose exponent is printed inside the quotient. Undefined, and left out, where a weight is not finite or, but for
// abs_skewness, which is of |w|, negative.
template <class T>
std::vector<Mean> skewness(const AttentionMap<T>& weights);
template <class T>
std::vector<Mean> abs_skewness(const AttentionMap<T>& weights);

}  // namespace polariscope::metrics
