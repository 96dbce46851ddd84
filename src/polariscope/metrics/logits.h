// What is measured of the logits z, from which the weights are made.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// Var_j[z_ij], population variance over the keys that a row sees; mean over rows and samples, [heads]. Lipschitz paper
// (6). Rows with a logit that is not finite are left out.
template <class T>
std::vector<Mean> logit_variance(const AttentionMap<T>& logits);

// Over samples, queries and visible keys; -∞ where there are none, NaN where a logit is NaN.
struct MaxLogit {
  double maximum;           // max z, signed: what QK-clip watches
  double absolute_maximum;  // max |z|
};
template <class T>
std::vector<MaxLogit> max_logit(const AttentionMap<T>& logits);  // [heads]

}  // namespace polariscope::metrics
