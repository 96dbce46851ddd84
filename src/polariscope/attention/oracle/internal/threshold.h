// The thresholds τ of the projections onto the simplex.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace polariscope::attention::oracle {

// max(x - τ, 0) sums to 1. With x sorted downwards the support is the longest prefix whose last element
// exceeds the prefix's own τ = (Σ x - 1)/k (Martins and Astudillo 2016, algorithm 1). x is not empty.
template <class T>
T sparsemax_threshold(std::vector<T> x) {
  std::sort(x.begin(), x.end(), std::greater<T>());
  T sum = 0, threshold = 0;
  for (std::size_t k = 1; k <= x.size(); ++k) {
    if (x[k - 1] <= x[0] - 1) break;  // τ is at least max x - 1
    sum += x[k - 1];
    const T prefix_threshold = (sum - 1) / static_cast<T>(k);
    if (x[k - 1] > prefix_threshold) threshold = prefix_threshold;
  }
  return threshold;
}

// max(x - τ, 0)² sums to 1: a quadratic in τ for each prefix (Peters et al. 2019, algorithm 2),
//   τ = mean - √((1 - Σ (x - mean)²)/k).
template <class T>
T entmax15_threshold(std::vector<T> x) {
  std::sort(x.begin(), x.end(), std::greater<T>());
  T mean = 0, deviation = 0, threshold = 0;  // deviation: Σ (x - mean)² of the prefix (Welford)
  for (std::size_t k = 1; k <= x.size(); ++k) {
    const T step = x[k - 1] - mean;
    mean += step / static_cast<T>(k);
    deviation += step * (x[k - 1] - mean);
    if (deviation > 1) break;  // no τ below x_k, nor will a longer prefix have one
    const T prefix_threshold = mean - std::sqrt((1 - deviation) / static_cast<T>(k));
    if (x[k - 1] >= prefix_threshold) threshold = prefix_threshold;
  }
  return threshold;
}

// max(x - τ, 0)^power sums to 1, power > 0, max x = 0: bisected until no number lies between the bounds.
// At τ = -1 the maximum alone gives 1; at τ = -n^(-1/power) none gives more than 1/n.
template <class T>
T entmax_threshold(const std::vector<T>& x, T power) {
  const auto total = [&](T threshold) {
    T sum = 0;
    for (const T score : x) sum += std::pow(std::max(score - threshold, T(0)), power);
    return sum;
  };
  T low = -1;
  T high = -std::pow(static_cast<T>(x.size()), -1 / power);
  for (;;) {
    const T middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;
    (total(middle) >= 1 ? low : high) = middle;
  }
}

}  // namespace polariscope::attention::oracle
