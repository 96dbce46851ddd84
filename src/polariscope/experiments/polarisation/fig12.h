// Figure 12 of the polarisation paper: least squares at every condition number; loss, gradients, scores, entropy.
#pragma once

#include "polariscope/experiments/polarisation/condition_runs.h"

#include <vector>

namespace polariscope::experiments::polarisation::fig12 {

std::vector<report::Claim> judge(const ConditionPlan& plan, const ConditionRuns& runs);
report::Section describe(const ConditionPlan& plan, const ConditionRuns& runs);

}  // namespace polariscope::experiments::polarisation::fig12
