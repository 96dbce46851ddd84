// The training runs behind figures 3 and 12: least squares at condition numbers 1 to 5.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/trajectory.h"

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {

struct ConditionRuns {
  static constexpr int kLargest = 5;  // condition numbers 1, 2, ..., 5
  static constexpr int kDim = 20;
  int seeds = 0;
  std::vector<flow::Trajectory> trajectories;  // by condition number, then seed

  std::span<const flow::Trajectory> at(int condition) const;
};

// Runs them, or hands over those of an earlier call with the same preset and seed: a second experiment
// that asks while the first still runs waits for it.
std::shared_ptr<const ConditionRuns> condition_runs(const Context& context);

// What both sections say about them.
std::string condition_method(const ConditionRuns& runs);
std::vector<std::pair<std::string, std::string>> condition_configuration(const Context& context,
                                                                         const ConditionRuns& runs);
std::string condition_differences(const Context& context);

}  // namespace polariscope::experiments
