#include "polariscope/experiments/polarisation/margins.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/protocol.h"
#include "polariscope/flow/checks.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::experiments {
namespace {

bool violates(double margin) { return !(margin >= 0.0); }  // what is no number does

}  // namespace

void Margins::add(std::string_view check, const std::string& group, double margin) {
  margins_[check][group].push_back(margin);
}

const Margins::Group& Margins::by_group(std::string_view check) const {
  static const Group kNone;
  const auto found = margins_.find(check);
  return found == margins_.end() ? kNone : found->second;
}

std::vector<double> Margins::margins(std::string_view check) const {
  std::vector<double> all;
  for (const auto& [group, margins] : by_group(check)) all.insert(all.end(), margins.begin(), margins.end());
  std::sort(all.begin(), all.end());
  return all;
}

Margins::Count Margins::count(std::string_view check) const {
  Count count{.worst = std::numeric_limits<double>::quiet_NaN()};
  for (const auto& [group, margins] : by_group(check)) {
    for (const double margin : margins) {
      ++count.applied;
      count.violations += violates(margin) ? 1 : 0;
      count.worst = std::fmin(count.worst, margin);
    }
  }
  return count;
}

report::Claim Margins::claim(std::string_view id, std::string source, std::string evidence) const {
  const flow::Check& check = flow::find_check(id);
  const Count found = count(id);
  return claim_in_words(
      std::string(id), std::string(check.statement), std::move(source),
      fmt::format("no trajectory with a negative margin, where the precondition holds ({})", check.precondition),
      fmt::format("{} of {} trajectories violate it, worst margin {}", counted(found.violations),
                  counted(found.applied), significant(found.worst, 2)),
      spread_of(margins(id)), judged(found.applied, 1, found.violations == 0), std::move(evidence));
}

report::Figure Margins::figure(std::string id, std::span<const std::string_view> checks) const {
  std::vector<report::Panel> charts;
  long long violations = 0;
  long long applied = 0;
  bool wide = false;
  for (const std::string_view check : checks) {
    const Count found = count(check);
    violations += found.violations;
    applied += found.applied;
    const std::vector<double> values = margins(check);
    const bool many_decades = found.violations == 0 && !values.empty() && values.back() > 100.0 * values.front();
    wide = wide || many_decades;
    charts.push_back({std::string(check),
                      report::histogram({.x = {.title = "margin",
                                               .scale = many_decades ? report::Scale::kLog : report::Scale::kLinear},
                                         .values = values,
                                         .marks = {}})});
  }
  return {.id = std::move(id),
          .title = "Margins over the ensemble",
          .caption = fmt::format("{} of {} margins are negative.{}", counted(violations), counted(applied),
                                 wide ? " Where the axis is logarithmic, those at its left end are of trajectories on "
                                        "which hardly anything moves between two records: what keeps them from zero is "
                                        "the allowance for rounding."
                                      : ""),
          .alternative = fmt::format("Histograms of the margins of {} checks; {} of {} margins are negative.",
                                     checks.size(), violations, applied),
          .spec = report::panels(charts, std::min(2, static_cast<int>(charts.size()))),
          .table = table()};
}

report::Table Margins::table() const {
  std::vector<std::string> checks, groups;
  std::vector<double> applied, violations, worst, median;
  for (const std::string_view check : checks_) {
    for (const auto& [group, margins] : by_group(check)) {
      checks.emplace_back(check);
      groups.push_back(group);
      applied.push_back(static_cast<double>(margins.size()));
      violations.push_back(static_cast<double>(std::ranges::count_if(margins, violates)));
      const Spread spread = spread_of(margins);
      worst.push_back(spread.low);
      median.push_back(spread.median);
    }
  }
  return {{{"check", checks},
           {"trajectories", groups},
           {"precondition held on", applied},
           {"violations", violations},
           {"worst margin", worst},
           {"median margin", median}}};
}

}  // namespace polariscope::experiments
