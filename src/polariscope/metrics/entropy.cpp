#include "polariscope/metrics/entropy.h"

#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::metrics {
namespace {

constexpr double kSmallestGap = 1e-9;  // of H_max - H

// Of |w|/sum; NaN where the sum is.
template <class T>
double entropy_of_shares(std::span<const T> row, double sum) {
  if (std::isnan(sum) || sum == 0.0) return sum;
  const double log_sum = std::log(sum);
  double weighted = 0.0;
  for (const T w : row) {
    const double size = std::abs(static_cast<double>(w));
    if (size > 0.0) weighted += size * (std::log(size) - log_sum);
  }
  return 0.0 - weighted / sum;  // a 0 has no sign
}

template <class T>
double row_entropy(std::span<const T> row) {
  return entropy_of_shares(row, positive_sum(row));
}

// 0/0 for a single key.
template <class T>
double relative_to_uniform(double entropy, std::span<const T> row) {
  return entropy / std::log(static_cast<double>(row.size()));
}

}  // namespace

template <class T>
double row_abs_entropy(std::span<const T> row) {
  return entropy_of_shares(row, absolute_sum(row));
}

template <class T>
std::vector<Mean> entropy(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, row_entropy<T>);
}

template <class T>
std::vector<Mean> abs_entropy(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, row_abs_entropy<T>);
}

template <class T>
std::vector<Mean> relative_entropy(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return relative_to_uniform(row_entropy(row), row); });
}

template <class T>
std::vector<Mean> abs_relative_entropy(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return relative_to_uniform(row_abs_entropy(row), row); });
}

double normalised_entropy(double entropy, double maximum) {
  return maximum == 0.0 ? std::numeric_limits<double>::quiet_NaN()
                        : entropy / std::max(maximum - entropy, kSmallestGap);
}

template <class T>
std::vector<NormalisedEntropy> normalised_entropy(const AttentionMap<T>& weights) {
  return over_rows(weights, NormalisedEntropy{}, [](NormalisedEntropy& head, std::span<const T> row) {
    const double entropy = row_entropy(row), maximum = std::log(static_cast<double>(row.size()));
    head.mean.add(normalised_entropy(entropy, maximum));
    if (row.size() > 1 && maximum - entropy < kSmallestGap) ++head.clamped;
  });
}

template double row_abs_entropy(std::span<const float>);
template double row_abs_entropy(std::span<const double>);
template std::vector<Mean> entropy(const AttentionMap<float>&);
template std::vector<Mean> entropy(const AttentionMap<double>&);
template std::vector<Mean> abs_entropy(const AttentionMap<float>&);
template std::vector<Mean> abs_entropy(const AttentionMap<double>&);
template std::vector<Mean> relative_entropy(const AttentionMap<float>&);
template std::vector<Mean> relative_entropy(const AttentionMap<double>&);
template std::vector<Mean> abs_relative_entropy(const AttentionMap<float>&);
template std::vector<Mean> abs_relative_entropy(const AttentionMap<double>&);
template std::vector<NormalisedEntropy> normalised_entropy(const AttentionMap<float>&);
template std::vector<NormalisedEntropy> normalised_entropy(const AttentionMap<double>&);

}  // namespace polariscope::metrics
