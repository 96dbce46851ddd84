#include "polariscope/experiments/shared/spread_series.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/measure.h"

#include <fmt/format.h>

#include <utility>

namespace polariscope::experiments {

report::Series spread_series(std::string name, const std::vector<double>& x,
                             const std::vector<std::vector<double>>& runs) {
  report::Series series;
  series.name = std::move(name);
  series.x = x;
  for (std::size_t n = 0; n < x.size(); ++n) {
    std::vector<double> values;
    for (const std::vector<double>& run : runs) values.push_back(run.at(n));
    const Spread spread = spread_of(std::move(values));
    series.y.push_back(spread.median);
    series.low.push_back(spread.low);
    series.high.push_back(spread.high);
  }
  return series;
}

std::string end_in_words(const report::Series& line, int digits) {
  const std::string median = significant(line.y.back(), digits);
  if (line.low.empty()) return median;
  return fmt::format("{} ({} to {})", median, significant(line.low.back(), digits),
                     significant(line.high.back(), digits));
}

}  // namespace polariscope::experiments
