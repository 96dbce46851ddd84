// Exact gradient descent with a step size: what the paper's figures show.
#pragma once

#include "polariscope/flow/trajectory.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace polariscope::flow {

struct DescentOptions {
  double step = 0.1;
  std::int64_t steps = 1000;
  std::vector<std::int64_t> samples;  // steps to record, rising; empty: log_samples(steps, 200)
  bool singular_values = false;
  std::function<void(std::int64_t done, const Trajectory&)> progress;  // called at every sample
};

// Throws Error for a step that is not positive and finite, a negative number of steps, or samples that do not rise
// from 0 or above.
void validate(const DescentOptions& options);

// 0, then about `count` step numbers spaced evenly in logarithm, ending with `steps`.
std::vector<std::int64_t> log_samples(std::int64_t steps, int count);

// V and a move together from the same point. Throws Error for an invalid problem or a step that is
// not positive, Interrupted on Ctrl-C. A trajectory that leaves the finite numbers ends as diverged.
Trajectory descend(const Problem& problem, const State& start, const DescentOptions& options);

}  // namespace polariscope::flow
