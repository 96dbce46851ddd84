// Gradient descent from many starts: how the experiments with a handful of seeds run.
#pragma once

#include "polariscope/experiments/experiment.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/start.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace polariscope {

struct Descent {
  Start start;
  DescentOptions options;  // its progress, where it has one, is called as well
};

// Runs all of them over the context's threads and returns the trajectories in the order given. One line
// of progress counts their steps; `note` says the number that matters of the one that reported last.
std::vector<Trajectory> descend_all(const Context& context, const std::vector<Descent>& descents,
                                    const std::function<std::string(const Trajectory&)>& note);

// Trajectories of group `group`, where every group has `seeds` of them in a row.
std::span<const Trajectory> group_of(const std::vector<Trajectory>& trajectories, int seeds, int group);

// "max σ 0.9753": the note of most experiments.
std::string largest_share_note(const Trajectory& trajectory);

}  // namespace polariscope
