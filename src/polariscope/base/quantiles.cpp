#include "polariscope/base/quantiles.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace polariscope {

double median_of_sorted(std::span<const double> rising) {
  if (rising.empty()) return std::numeric_limits<double>::quiet_NaN();
  const std::size_t half = rising.size() / 2;
  return rising.size() % 2 == 1 ? rising[half] : 0.5 * (rising[half - 1] + rising[half]);
}

double median_of(std::span<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return values.size() % 2 == 1 ? *middle : 0.5 * (*std::max_element(values.begin(), middle) + *middle);
}

double quantile_of_sorted(std::span<const double> rising, double q) {
  const double at = q * static_cast<double>(rising.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, rising.size() - 1);
  return std::lerp(rising[below], rising[above], at - static_cast<double>(below));
}

}  // namespace polariscope
