// One line for many runs: the median with a band from the lowest to the highest.
#pragma once

#include "polariscope/report/charts.h"

#include <string>
#include <vector>

namespace polariscope::experiments {

// runs: each [points], all recorded at the same x. Numbers that are not finite are left out.
report::Series spread_series(std::string name, const std::vector<double>& x,
                             const std::vector<std::vector<double>>& runs);

// Where such a line ends: "0.975 (0.962 to 0.981)".
std::string end_in_words(const report::Series& line, int digits = 3);

}  // namespace polariscope::experiments
