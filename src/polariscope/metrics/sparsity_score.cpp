#include "polariscope/metrics/sparsity_score.h"

#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

#include <algorithm>
#include <cmath>

namespace polariscope::metrics {
namespace {

// Of |w|/sum; NaN where the sum is.
template <class T>
double largest_share(std::span<const T> row, double sum) {
  if (std::isnan(sum)) return sum;
  double largest = 0.0;
  for (const T w : row) largest = std::max(largest, std::abs(static_cast<double>(w)));
  return share_of(largest, sum);
}

}  // namespace

template <class T>
std::vector<Mean> sparsity_score(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return largest_share(row, positive_sum(row)); });
}

template <class T>
std::vector<Mean> abs_sparsity_score(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return largest_share(row, absolute_sum(row)); });
}

template <class T>
std::vector<Mean> maximum_weight(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) {
    const double sum = absolute_sum(row);
    return std::isnan(sum) ? sum : static_cast<double>(*std::max_element(row.begin(), row.end()));
  });
}

template std::vector<Mean> sparsity_score(const AttentionMap<float>&);
template std::vector<Mean> sparsity_score(const AttentionMap<double>&);
template std::vector<Mean> abs_sparsity_score(const AttentionMap<float>&);
template std::vector<Mean> abs_sparsity_score(const AttentionMap<double>&);
template std::vector<Mean> maximum_weight(const AttentionMap<float>&);
template std::vector<Mean> maximum_weight(const AttentionMap<double>&);

}  // namespace polariscope::metrics
