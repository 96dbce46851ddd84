#include "polariscope/metrics/massive_activations.h"

#include "polariscope/base/error.h"
#include "polariscope/base/quantiles.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::metrics {
namespace {

constexpr double kSmallest = 100.0, kTimesMedian = 1000.0;

}  // namespace

double massive_from(double median) {
  return std::max(std::nextafter(kSmallest, std::numeric_limits<double>::infinity()), kTimesMedian * median);
}

template <class T>
MassiveActivations massive_activations(std::span<const T> hidden, std::int64_t width) {
  if (width < 1 || hidden.size() % static_cast<std::size_t>(width) != 0) {
    throw Error("massive activations: {} numbers are no whole tokens of width {}", hidden.size(), width);
  }
  std::vector<double> sizes;
  for (const T h : hidden) sizes.push_back(std::abs(static_cast<double>(h)));
  if (sizes.empty() || !std::all_of(sizes.begin(), sizes.end(), [](double size) { return std::isfinite(size); })) {
    return {std::numeric_limits<double>::quiet_NaN(), {}};
  }
  MassiveActivations result{median_of(sizes), {}};
  const double limit = massive_from(result.median);
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const double value = hidden[i];
    if (std::abs(value) >= limit) {
      const auto place = static_cast<std::int64_t>(i);
      result.found.push_back({place / width, place % width, value});
    }
  }
  std::stable_sort(result.found.begin(), result.found.end(),
                   [](const auto& a, const auto& b) { return std::abs(a.value) > std::abs(b.value); });
  return result;
}

template MassiveActivations massive_activations(std::span<const float>, std::int64_t);
template MassiveActivations massive_activations(std::span<const double>, std::int64_t);

}  // namespace polariscope::metrics
