#include "polariscope/metrics/sink_rate.h"

#include "polariscope/base/error.h"
#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

#include <algorithm>
#include <cmath>

namespace polariscope::metrics {
namespace {

// Mean over samples of f(α).
template <class T, class F>
std::vector<Mean> mean_of_importance(const AttentionMap<T>& weights, std::int64_t position, const F& f) {
  validate_self_attention(weights, "sink rate");
  if (position < 0) throw Error("sink rate: position {}: positions count from 0", position);
  return mean_over_samples(weights, [&](std::int64_t sample, std::int64_t head) {
    double shares = 0.0;
    for (std::int64_t query = position; query < weights.length(sample); ++query) {
      const std::span<const T> row = weights.row(sample, head, query);
      shares += share_of(std::abs(static_cast<double>(row[static_cast<std::size_t>(position)])), absolute_sum(row));
    }
    // 0/0 for a sequence that does not reach the position.
    return f(shares / static_cast<double>(std::max<std::int64_t>(weights.length(sample) - position, 0)));
  });
}

}  // namespace

template <class T>
std::vector<Mean> importance_score(const AttentionMap<T>& weights, std::int64_t position) {
  return mean_of_importance(weights, position, [](double alpha) { return alpha; });
}

template <class T>
std::vector<Mean> sink_rate(const AttentionMap<T>& weights, std::int64_t position, double epsilon) {
  return mean_of_importance(weights, position, [epsilon](double alpha) {
    return std::isnan(alpha) ? alpha : static_cast<double>(alpha > epsilon);
  });
}

template std::vector<Mean> importance_score(const AttentionMap<float>&, std::int64_t);
template std::vector<Mean> importance_score(const AttentionMap<double>&, std::int64_t);
template std::vector<Mean> sink_rate(const AttentionMap<float>&, std::int64_t, double);
template std::vector<Mean> sink_rate(const AttentionMap<double>&, std::int64_t, double);

}  // namespace polariscope::metrics
