// Figure 3 of the polarisation paper: least squares; scores a against time at the smallest and the largest condition
// number.
#pragma once

#include "polariscope/experiments/polarisation/condition_runs.h"

#include <vector>

namespace polariscope::experiments::polarisation::fig3 {

std::vector<report::Claim> judge(const ConditionPlan& plan, const ConditionRuns& runs);
report::Section describe(const ConditionPlan& plan, const ConditionRuns& runs);

}  // namespace polariscope::experiments::polarisation::fig3
