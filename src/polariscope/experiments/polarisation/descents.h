// Gradient descent from a start a seed: how the experiments with a handful of seeds run.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/start.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

struct Descent {
  flow::Start start;
  flow::DescentOptions options;  // its progress, where it has one, is called as well
};

// Descents of one kind: what a figure of the paper is drawn from.
struct DescentPlan {
  flow::Model model = flow::Model::kValueSoftmax;
  flow::Loss loss = flow::Loss::kLogistic;
  std::string_view reweighting = "softmax";
  flow::StartOptions start = {};
  double step = 0.1;
  std::int64_t steps = 1'000'000;
  int seeds = 20;

  double last_time() const { return step * static_cast<double>(steps); }
};

// One for each seed, from the context's first one on.
std::vector<Descent> descents_of(const Context& context, const DescentPlan& plan);

// Runs all of them over the context's threads and returns the trajectories in the order given. One line
// of progress counts their steps; `note` says the number that matters of the one that reported last.
std::vector<flow::Trajectory> descend_all(const Context& context, const std::vector<Descent>& descents,
                                          const std::function<std::string(const flow::Trajectory&)>& note);

// Trajectories of group `group`, where every group has `seeds` of them in a row.
std::span<const flow::Trajectory> group_of(const std::vector<flow::Trajectory>& trajectories, int seeds, int group);

// "largest share 0.9753": the note of most experiments.
std::string largest_share_note(const flow::Trajectory& trajectory);

}  // namespace polariscope::experiments
