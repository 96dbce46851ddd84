#include "polariscope/metrics/frobenius_norm.h"

#include "polariscope/metrics/internal/rows.h"

#include <cmath>

namespace polariscope::metrics {

template <class T>
std::vector<Mean> frobenius_norm(const AttentionMap<T>& weights) {
  return mean_over_samples(weights, [&](std::int64_t sample, std::int64_t head) {
    double squares = 0.0;
    for (std::int64_t query = 0; query < weights.queries; ++query) {
      for (const double w : weights.row(sample, head, query)) squares += w * w;
    }
    return std::sqrt(squares);
  });
}

template std::vector<Mean> frobenius_norm(const AttentionMap<float>&);
template std::vector<Mean> frobenius_norm(const AttentionMap<double>&);

}  // namespace polariscope::metrics
