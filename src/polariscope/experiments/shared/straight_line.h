// A straight line through points.
#pragma once

#include <span>

namespace polariscope::experiments {

// y = intercept + slope·x by least squares, over points where both are finite; `correlation` is Pearson's. NaN where
// fewer than two points, or numbers that are all equal, determine none.
struct StraightLine {
  double slope, intercept, correlation;
};
// x and y: of one length.
StraightLine straight_line(std::span<const double> x, std::span<const double> y);

}  // namespace polariscope::experiments
