#include "polariscope/metrics/variance_entropy.h"

#include "polariscope/base/error.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/internal/moments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::metrics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Student's t at 0.975. From three degrees of freedom the expansion in 1/ν of Abramowitz and Stegun 26.7.5, whose error
// is at most 1.3e-3 of the value.
double student_t(double freedom) {
  constexpr double kOne = 12.7062, kTwo = 4.30265;
  if (freedom < 3.0) return freedom < 2.0 ? kOne : kTwo;
  constexpr std::array kTerms{1.959964, 2.372271, 2.822499, 2.555852, 1.589536};
  double t = 0.0;
  for (std::size_t i = kTerms.size(); i-- > 0;) t = t / freedom + kTerms[i];
  return t;
}

// Least squares of y on x, both logarithms.
PowerLaw fit_line(std::span<const double> x, std::span<const double> y) {
  const auto n = static_cast<double>(x.size());
  const double x_mean = mean_of(x), y_mean = mean_of(y);
  double xx = 0.0, xy = 0.0, yy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - x_mean) * (x[i] - x_mean);
    xy += (x[i] - x_mean) * (y[i] - y_mean);
    yy += (y[i] - y_mean) * (y[i] - y_mean);
  }
  PowerLaw law{kNaN, kNaN, kNaN, kNaN, kNaN, static_cast<std::int64_t>(x.size()), 0};
  if (xx == 0.0) return law;
  law.exponent = xy / xx;
  law.intercept = y_mean - law.exponent * x_mean;
  const double residual = std::max(yy - law.exponent * xy, 0.0);
  if (yy > 0.0) law.r_squared = 1.0 - residual / yy;
  if (x.size() >= 3) {
    const double half = student_t(n - 2.0) * std::sqrt(residual / (n - 2.0) / xx);
    law.low = law.exponent - half;
    law.high = law.exponent + half;
  }
  return law;
}

}  // namespace

PowerLaw fit_power_law(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw Error("power law: {} x and {} y: a point has one of each", x.size(), y.size());
  std::vector<double> log_x, log_y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] > 0.0 && y[i] > 0.0 && std::isfinite(x[i]) && std::isfinite(y[i]))) continue;
    log_x.push_back(std::log(x[i]));
    log_y.push_back(std::log(y[i]));
  }
  PowerLaw law = fit_line(log_x, log_y);
  law.left_out = static_cast<std::int64_t>(x.size()) - law.points;
  return law;
}

bool is_fitted(double variance, double entropy, double uniform) {
  return entropy > kEntropyMargin && entropy < uniform - kEntropyMargin && variance >= kSmallestVariance &&
         variance <= kLargestVariance;
}

PowerLaw variance_entropy_sensitivity(std::span<const double> variance, std::span<const double> entropy,
                                      std::int64_t keys) {
  if (keys < 2) throw Error("variance-entropy fit: {} keys: entropy varies from 2 on", keys);
  const double maximum = std::log(static_cast<double>(keys));
  std::vector<double> normalised;
  for (std::size_t i = 0; i < entropy.size(); ++i) {
    const double H = entropy[i], var = i < variance.size() ? variance[i] : kNaN;
    normalised.push_back(is_fitted(var, H, maximum) ? normalised_entropy(H, maximum) : kNaN);
  }
  return fit_power_law(variance, normalised);
}

}  // namespace polariscope::metrics
