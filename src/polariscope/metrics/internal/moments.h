// Moments of numbers, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace polariscope::metrics {

// About the first number, so that the mean of equal ones is exact. NaN for none.
template <class T>
double mean_of(std::span<const T> x) {
  if (x.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double first = x.front();
  double sum = 0.0;
  for (const T value : x) sum += value - first;
  return first + sum / static_cast<double>(x.size());
}

// (1/n) Σ ((x - mean)/σ)^power; NaN for no numbers, equal ones, and where one is not finite.
template <class T>
double standardised_moment(std::span<const T> x, int power) {
  const double mean = mean_of(x);
  // Deviations over the largest of them: the same quotient, and powers neither vanish nor overflow.
  double largest = 0.0;
  for (const T value : x) largest = std::max(largest, std::abs(value - mean));
  if (largest == 0.0) return std::numeric_limits<double>::quiet_NaN();
  double squares = 0.0, powers = 0.0;
  for (const T value : x) {
    const double off = (value - mean) / largest;
    squares += off * off;
    powers += std::pow(off, power);
  }
  const auto n = static_cast<double>(x.size());
  return powers / n / std::pow(squares / n, 0.5 * power);
}

}  // namespace polariscope::metrics
