#include "polariscope/metrics/skewness.h"

#include "polariscope/metrics/internal/moments.h"
#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

namespace polariscope::metrics {
namespace {

// Of |w|; NaN where the sum is.
template <class T>
double row_skewness(std::span<const T> row, double sum) {
  if (std::isnan(sum)) return sum;
  std::vector<double> sizes;
  for (const T w : row) sizes.push_back(std::abs(static_cast<double>(w)));
  const double moment = standardised_moment(std::span<const double>(sizes), 3);
  return std::isnan(moment) ? 0.0 : moment;  // the weights are finite, so they are equal
}

}  // namespace

template <class T>
std::vector<Mean> skewness(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return row_skewness(row, positive_sum(row)); });
}

template <class T>
std::vector<Mean> abs_skewness(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, [](std::span<const T> row) { return row_skewness(row, absolute_sum(row)); });
}

template std::vector<Mean> skewness(const AttentionMap<float>&);
template std::vector<Mean> skewness(const AttentionMap<double>&);
template std::vector<Mean> abs_skewness(const AttentionMap<float>&);
template std::vector<Mean> abs_skewness(const AttentionMap<double>&);

}  // namespace polariscope::metrics
