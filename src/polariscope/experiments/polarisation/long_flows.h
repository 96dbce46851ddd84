// The gradient flow from many starts, to horizons that no gradient descent reaches.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"

#include <vector>

namespace polariscope::experiments {

constexpr double kForever = 1e299;  // the largest time that leaves room for e^(log t) in double precision

// Integrates all of them over the context's threads and returns the trajectories in the order given, on one
// line of progress. A start from which the integrator gives up (a function with a kink, where the flow
// slides along it) gives a trajectory without records.
std::vector<flow::Trajectory> integrate_all(const Context& context, const std::vector<flow::Start>& starts,
                                            const flow::FlowOptions& options);

}  // namespace polariscope::experiments
