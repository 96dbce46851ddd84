// The sums that turn weights w into shares: w/Σw, or |w|/Σ|w| where weights may be negative.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace polariscope::metrics {

// Σ w. NaN where a weight is not finite.
template <class T>
double signed_sum(std::span<const T> row) {
  double sum = 0.0;
  for (const T w : row) sum += w;
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::quiet_NaN();
}

// Σ |w|. NaN where a weight is not finite.
template <class T>
double absolute_sum(std::span<const T> row) {
  double sum = 0.0;
  for (const T w : row) sum += std::abs(static_cast<double>(w));
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::quiet_NaN();
}

// Σ w. NaN for a row that has no shares w/Σw: a weight is negative or not finite.
template <class T>
double positive_sum(std::span<const T> row) {
  const bool negative = std::any_of(row.begin(), row.end(), [](T w) { return w < 0; });
  return negative ? std::numeric_limits<double>::quiet_NaN() : signed_sum(row);
}

// part/sum; 0 of a row without any weight, such as a ReLU kernel's dead one.
inline double share_of(double part, double sum) { return part == 0.0 && sum == 0.0 ? 0.0 : part / sum; }

}  // namespace polariscope::metrics
