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

// β of points (Var, H) of rows over `keys` keys, H in nats: the fit of H̃ = H/(log N - H) to the variance, over points
// with 1e-6 < H < log N - 1e-6 and 1e-2 <= Var <= 1e4. Points along one training run are correlated, so there the
// interval is too narrow. For small variances β is -1 for softmax, -1/2 for elu + 1 and 0 for ReLU.
PowerLaw variance_entropy_sensitivity(std::span<const double> variance, std::span<const double> entropy,
                                      std::int64_t keys);

}  // namespace polariscope::metrics
