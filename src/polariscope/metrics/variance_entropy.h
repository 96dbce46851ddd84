// How entropy answers to the variance of logits: H̃ ∝ Var^β. Lipschitz paper (8).
#pragma once

#include <cstdint>
#include <span>

namespace polariscope::metrics {

// y = e^intercept · x^exponent, by least squares of log y on log x. NaN is what the points do not determine.
struct PowerLaw {
  double exponent, intercept;
  double low, high;  // 95 % interval of the exponent (Student's t), for independent errors; three points at least
  double r_squared;  // NaN where y is constant
  std::int64_t points;
  std::int64_t left_out;  // points that are not positive and finite, or outside the range of the fit
};
// Throws Error unless x and y are of one length.
PowerLaw fit_power_law(std::span<const double> x, std::span<const double> y);

// Which points (Var, H) the law is fitted to, H in nats: kEntropyMargin < H < uniform - kEntropyMargin and
// kSmallestVariance <= Var <= kLargestVariance.
constexpr double kEntropyMargin = 1e-6, kSmallestVariance = 1e-2, kLargestVariance = 1e4;
bool is_fitted(double variance, double entropy, double uniform);

// β of points (Var, H) of rows over `keys` keys: the fit of H̃ = H/(log N - H) to the variance, over those that
// is_fitted() takes. Points along one training run are correlated, so there the interval is too narrow. For small
// variances β is -1 for softmax, -1/2 for elu + 1 and 0 for ReLU.
PowerLaw variance_entropy_sensitivity(std::span<const double> variance, std::span<const double> entropy,
                                      std::int64_t keys);

}  // namespace polariscope::metrics
