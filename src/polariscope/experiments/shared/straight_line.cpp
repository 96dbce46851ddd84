#include "polariscope/experiments/shared/straight_line.h"

#include <cmath>
#include <cstddef>

namespace polariscope::experiments {

StraightLine straight_line(std::span<const double> x, std::span<const double> y) {
  const auto over_points = [&](const auto& term) {
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isfinite(x[i]) && std::isfinite(y[i])) sum += term(x[i], y[i]);
    }
    return sum;
  };
  const double count = over_points([](double, double) { return 1.0; });
  const double mean_x = over_points([](double a, double) { return a; }) / count,
               mean_y = over_points([](double, double b) { return b; }) / count;
  const double xx = over_points([=](double a, double) { return (a - mean_x) * (a - mean_x); }),
               yy = over_points([=](double, double b) { return (b - mean_y) * (b - mean_y); }),
               xy = over_points([=](double a, double b) { return (a - mean_x) * (b - mean_y); });
  const double slope = xy / xx;  // 0/0 is NaN
  return {.slope = slope, .intercept = mean_y - slope * mean_x, .correlation = xy / std::sqrt(xx * yy)};
}

}  // namespace polariscope::experiments
