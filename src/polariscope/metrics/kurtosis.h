// How heavy the tails of a layer's residual stream are: outlier features.
#pragma once

#include <span>

namespace polariscope::metrics {

// (1/n) Σ ((h - μ)/σ)⁴ of all numbers of a layer's residual stream, at least 1; 3 for normal ones. NaN without numbers,
// for equal ones, and where one is not finite.
template <class T>
double kurtosis(std::span<const T> hidden);

}  // namespace polariscope::metrics
