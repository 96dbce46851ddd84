// The few activations that tower over a layer's residual stream. Sun et al. 2024, "Massive activations in large
// language models".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace polariscope::metrics {

// The least |h| that is massive where this is the median of |h|: above 100 and at least 1000 times it.
double massive_from(double median);

struct MassiveActivation {
  std::int64_t token, feature;
  double value;
};

struct MassiveActivations {
  double median;                         // of |h|; NaN without numbers or where one is not finite
  std::vector<MassiveActivation> found;  // the largest |value| first; none where the median is NaN
};

// Those with |h| > 100 and |h| >= 1000 × the median of |h|. hidden: [tokens, width], one layer's residual stream.
// Throws Error unless it has whole tokens.
template <class T>
MassiveActivations massive_activations(std::span<const T> hidden, std::int64_t width);

}  // namespace polariscope::metrics
