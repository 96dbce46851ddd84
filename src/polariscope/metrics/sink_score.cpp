#include "polariscope/metrics/sink_score.h"

#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

#include <algorithm>
#include <limits>

namespace polariscope::metrics {
namespace {

constexpr std::int64_t kFirstQuery = 1, kLastLeftOut = 2;

}  // namespace

template <class T>
std::vector<Mean> first_token_share(const AttentionMap<T>& weights) {
  validate_self_attention(weights, "sink score");
  std::vector<Mean> means(static_cast<std::size_t>(weights.heads));
  for (std::int64_t sample = 0; sample < weights.samples; ++sample) {
    for (std::int64_t head = 0; head < weights.heads; ++head) {
      for (std::int64_t query = kFirstQuery; query < weights.length(sample) - kLastLeftOut; ++query) {
        const std::span<const T> row = weights.row(sample, head, query);
        means[static_cast<std::size_t>(head)].add(share_of(row[0], signed_sum(row)));
      }
    }
  }
  return means;
}

template <class T>
std::vector<Mean> first_token_ratio_of_sums(const AttentionMap<T>& weights) {
  validate_self_attention(weights, "sink score");
  return mean_over_samples(weights, [&](std::int64_t sample, std::int64_t head) {
    const std::int64_t end = weights.length(sample) - kLastLeftOut;
    if (end <= kFirstQuery) return std::numeric_limits<double>::quiet_NaN();
    double first = 0.0, sum = 0.0;
    for (std::int64_t query = kFirstQuery; query < end; ++query) {
      const std::span<const T> row = weights.row(sample, head, query);
      first += row[0];
      sum += signed_sum(row);
    }
    return share_of(first, sum);
  });
}

double sink_score(const Mean& first_token_share) { return std::clamp(first_token_share.value(), 0.0, 1.0); }

template std::vector<Mean> first_token_share(const AttentionMap<float>&);
template std::vector<Mean> first_token_share(const AttentionMap<double>&);
template std::vector<Mean> first_token_ratio_of_sums(const AttentionMap<float>&);
template std::vector<Mean> first_token_ratio_of_sums(const AttentionMap<double>&);

}  // namespace polariscope::metrics
