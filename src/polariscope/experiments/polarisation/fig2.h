// Figure 2 of the polarisation paper: logistic loss, softmax; σ(a) and u against time.
#pragma once

#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/shared/experiment.h"

#include <vector>

namespace polariscope::experiments::polarisation::fig2 {

using Protocol = DescentPlan;
Protocol protocol_of(Preset preset);

using Measured = std::vector<flow::Trajectory>;  // one a seed, with singular values
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs);
report::Section describe(const Protocol& protocol, const Measured& runs);

}  // namespace polariscope::experiments::polarisation::fig2
