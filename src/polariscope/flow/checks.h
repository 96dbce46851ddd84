// The theorems and lemmas of the polarisation paper, checked along a trajectory.
#pragma once

#include "polariscope/flow/trajectory.h"

#include <string>
#include <string_view>
#include <vector>

namespace polariscope::flow {

// A margin says by how much a statement holds (>= 0) or fails (< 0), in the statement's own unit, after
// allowing for rounding; its size is comparable between trajectories.
struct CheckResult {
  std::string_view id;         // "A.thm3.2/order"
  std::string_view statement;  // one sentence
  bool applies = false;        // the theorem's precondition holds on this trajectory
  std::string reason;          // why it does not apply; "" where it does
  double margin = 0.0;         // NaN where it does not apply
  bool holds() const { return margin >= 0.0; }
};

struct Check {
  std::string_view id;
  std::string_view statement;
  std::string_view precondition;
  // "" where the precondition holds, else the part of it that does not.
  std::string (*obstacle)(const Trajectory&);
  // Called only where the precondition holds. `tolerance` is the relative accuracy of the trajectory.
  double (*margin)(const Trajectory&, double tolerance);
};

const std::vector<Check>& checks();
// Throws Error with the nearest known id.
const Check& find_check(std::string_view id);

// tolerance: relative accuracy of the trajectory's numbers: 1e-10 suits gradient descent, 100 rtol the flow.
CheckResult run_check(const Check& check, const Trajectory& trajectory, double tolerance);
std::vector<CheckResult> run_checks(const Trajectory& trajectory, double tolerance);

// Tokens in falling order of u at the start: the theorems' 1, 2, ..., k.
std::vector<int> order_of_u(const Trajectory& trajectory);

// Lemma B.1 (b), sharpened: the least-squares slope of log(σ_i/σ_1) against log log t over the records
// with t >= from, averaged over i, and the last record's σ_i/σ_1 · k log²t / 2, averaged likewise.
// They tend to -2 and 1. NaN without two such records.
struct OneHotRate {
  double slope, constant;
};
OneHotRate one_hot_rate(const Trajectory& trajectory, double from);

}  // namespace polariscope::flow
