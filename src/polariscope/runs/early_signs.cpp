#include "polariscope/runs/early_signs.h"

#include "polariscope/base/quantiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::runs {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

using Curve = std::vector<double>;  // a logarithm of each step; NaN where there is none

template <class NumberOf>
Curve curve(std::span<const WatchedStep> steps, const NumberOf& number_of) {
  Curve logs;
  for (const WatchedStep& step : steps) {
    const double number = number_of(step);
    logs.push_back(number > 0.0 && std::isfinite(number) ? std::log(number) : kNothing);
  }
  return logs;
}

// The heads' numbers at a step that are finite; NaN where none is.
template <class Join>
auto of_heads(double HeadReading::*member, const Join& join) {
  return [=](const WatchedStep& step) {
    double joined = kNothing;
    for (const HeadReading& head : step.readings) {
      const double number = head.*member;
      if (std::isfinite(number)) joined = std::isnan(joined) ? number : join(joined, number);
    }
    return joined;
  };
}

// Sums rank steps as means do: the trend of a logarithm knows no factor.
auto sum_of(double HeadReading::*member) {
  return of_heads(member, [](double sum, double number) { return sum + number; });
}

double trend(const Curve& logs) {
  double count = 0.0, at = 0.0, mean = 0.0;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (std::isnan(logs[i])) continue;
    count += 1.0;
    at += static_cast<double>(i);
    mean += logs[i];
  }
  if (count < 2.0) return 0.0;
  at /= count;
  mean /= count;
  double along = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (std::isnan(logs[i])) continue;
    const double off = static_cast<double>(i) - at;
    along += off * (logs[i] - mean);
    squares += off * off;
  }
  return along / squares * static_cast<double>(logs.size());
}

double mean_at_end(const Curve& logs) {
  double sum = 0.0, count = 0.0;
  for (std::size_t i = logs.size() - logs.size() / 5; i < logs.size(); ++i) {
    if (std::isnan(logs[i])) continue;
    sum += logs[i];
    count += 1.0;
  }
  return count > 0.0 ? sum / count : 0.0;
}

double largest_over_median(const Curve& logs) {
  Curve finite;
  std::ranges::copy_if(logs, std::back_inserter(finite), [](double number) { return !std::isnan(number); });
  return finite.empty() ? 0.0 : *std::ranges::max_element(finite) - median_of(finite);
}

}  // namespace

EarlySigns early_signs(std::span<const WatchedStep> steps, double learning_rate) {
  using Head = HeadReading;
  const auto least = [](double one, double other) { return std::min(one, other); };
  const auto largest = [](double one, double other) { return std::max(one, other); };
  const Curve least_entropy = curve(steps, of_heads(&Head::entropy, least));
  return {trend(least_entropy),
          trend(curve(steps, sum_of(&Head::entropy))),
          trend(curve(steps, sum_of(&Head::logit_variance))),
          trend(curve(steps, sum_of(&Head::frobenius_norm))),
          trend(curve(steps, [](const WatchedStep& step) { return step.loss; })),
          largest_over_median(curve(steps, [](const WatchedStep& step) { return step.gradient_norm; })),
          std::log(learning_rate),
          mean_at_end(least_entropy),
          mean_at_end(curve(steps, of_heads(&Head::logit_variance, largest)))};
}

}  // namespace polariscope::runs
