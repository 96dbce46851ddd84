// The margins of the theorems' checks over many trajectories, and what a report says of them.
#pragma once

#include "polariscope/report/claim.h"
#include "polariscope/report/figure.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

class Margins {
 public:
  Margins() = default;
  explicit Margins(std::vector<std::string_view> checks) : checks_(std::move(checks)) {}

  const std::vector<std::string_view>& checks() const { return checks_; }
  // Of a trajectory on which the check's precondition holds; `group` names its line in the table.
  void add(std::string_view check, const std::string& group, double margin);

  struct Count {
    long long applied = 0, violations = 0;
    double worst = 0.0;  // smallest margin; NaN where the precondition never held
  };
  Count count(std::string_view check) const;

  // holds: no violation; fails: any; inconclusive: the precondition held nowhere. Throws Error for an unknown check.
  report::Claim claim(std::string_view check, std::string source, std::string evidence) const;
  // Histograms of the margins, one panel a check; the table has a line for every check and group.
  report::Figure figure(std::string id, std::span<const std::string_view> checks) const;
  report::Figure figure(std::string id) const { return figure(std::move(id), checks_); }

 private:
  using Group = std::map<std::string, std::vector<double>>;  // margins by name of the group
  const Group& by_group(std::string_view check) const;
  std::vector<double> margins(std::string_view check) const;  // of all groups, rising
  report::Table table() const;

  std::vector<std::string_view> checks_;
  std::map<std::string_view, Group> margins_;
};

}  // namespace polariscope::experiments
