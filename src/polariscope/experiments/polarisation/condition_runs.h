// The descents behind figures 3 and 12: least squares at condition numbers from 1 on, from the same starts.
#pragma once

#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/shared/experiment.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace polariscope::experiments {

struct ConditionPlan {
  int largest = 5;       // condition numbers 1, 2, ..., 5
  DescentPlan descents;  // at each; start.condition is set by it

  int tokens() const { return descents.start.tokens; }
};
ConditionPlan condition_plan(Preset preset);

struct ConditionRuns {
  int seeds = 0;
  std::vector<flow::Trajectory> trajectories;  // by condition number, then seed

  std::span<const flow::Trajectory> at(int condition) const;
};

ConditionRuns run_conditions(const Context& context, const ConditionPlan& plan);
// Those of the preset's plan, or of an earlier call with the same preset and seed: a second experiment that asks while
// the first still runs waits for it.
std::shared_ptr<const ConditionRuns> condition_runs(const Context& context);

// What both sections say about them.
std::string condition_method(const ConditionPlan& plan);
Quantities condition_quantities(const Context& context);

}  // namespace polariscope::experiments
