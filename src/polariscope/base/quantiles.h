// Medians and quantiles, in the one sense that terminal, reports, alarms and benchmarks give them.
#pragma once

#include <span>

namespace polariscope {

// The middle one of the numbers, of an even count the mean of the middle two. NaN of none. No number may be NaN.
double median_of_sorted(std::span<const double> rising);
double median_of(std::span<double> values);  // reorders them

// What a share q of the numbers lies below: the i-th of n numbers is the i/(n - 1) quantile, counted from 0, and
// between two the quantile goes straight. rising: at least one number, none NaN; q in [0, 1].
double quantile_of_sorted(std::span<const double> rising, double q);

}  // namespace polariscope
