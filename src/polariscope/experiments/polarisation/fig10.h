// Figure 10 of the polarisation paper: cross-entropy to a target distribution.
#pragma once

#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/shared/experiment.h"

#include <vector>

namespace polariscope::experiments::polarisation::fig10 {

using Protocol = DescentPlan;
Protocol protocol_of(Preset preset);

using Measured = std::vector<flow::Trajectory>;  // one a seed
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs);
report::Section describe(const Protocol& protocol, const Measured& runs);

}  // namespace polariscope::experiments::polarisation::fig10
