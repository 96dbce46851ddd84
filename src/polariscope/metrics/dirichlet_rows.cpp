#include "polariscope/metrics/dirichlet_rows.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <cmath>

namespace polariscope::metrics {
namespace {

// A Gamma(shape) number for shape >= 1: Marsaglia and Tsang 2000.
double draw_gamma(RandomStream& random, double shape) {
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = random.normal(), root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (std::log(random.uniform()) < 0.5 * x * x + d * (1.0 - v + std::log(v))) return d * v;
  }
}

// ψ(x) = log x - 1/(2x) - Σ B_2n/(2n x^2n) after ψ(x) = ψ(x+1) - 1/x has lifted x to where five terms suffice.
double digamma(double x) {
  constexpr double kLifted = 12.0;
  double sum = 0.0;
  for (; x < kLifted; x += 1.0) sum -= 1.0 / x;
  const double y = 1.0 / (x * x);
  const double series = y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y / 132))));
  return sum + std::log(x) - 0.5 / x - series;
}

}  // namespace

void draw_dirichlet_row(RandomStream& random, double alpha, std::span<double> row) {
  if (!(alpha > 0.0) || !std::isfinite(alpha)) {
    throw Error("Dirichlet rows: alpha is {}: it must be positive and finite", alpha);
  }
  for (double& log_share : row)
    log_share = std::log(draw_gamma(random, alpha + 1.0)) + std::log(random.uniform()) / alpha;
  if (row.empty()) return;
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (double& share : row) sum += share = std::exp(share - largest);
  for (double& share : row) share /= sum;
}

double dirichlet_mean_entropy(double alpha, std::int64_t keys) {
  return digamma(static_cast<double>(keys) * alpha + 1.0) - digamma(alpha + 1.0);
}

double dirichlet_mean_square_norm(double alpha, std::int64_t keys) {
  return (alpha + 1.0) / (static_cast<double>(keys) * alpha + 1.0);
}

}  // namespace polariscope::metrics
