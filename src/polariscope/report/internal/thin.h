// Fewer points that draw the same line.
#pragma once

#include "polariscope/report/charts.h"

#include <cstddef>
#include <span>
#include <vector>

namespace polariscope::report {

// Whether a number has a place on an axis: finite, and positive on a logarithmic one.
bool drawable(double number, Scale scale);

// Indices, ascending, of at most about `most` points to draw: x is cut into equal stretches of the
// axis (equal factors on a logarithmic one) and each keeps its smallest and its largest y; the
// first and the last point stay. A stretch without a drawable y keeps one point, so gaps stay gaps.
std::vector<std::size_t> thin(std::span<const double> x, std::span<const double> y, Scale x_scale, Scale y_scale,
                              std::size_t most);

// For points without lines: every n-th of the drawable ones.
std::vector<std::size_t> thin_points(std::span<const double> x, std::span<const double> y, Scale x_scale, Scale y_scale,
                                     std::size_t most);

}  // namespace polariscope::report
