// The linear network beside softmax: V tends to rank one, the scores do not become one-hot.
#pragma once

#include "polariscope/experiments/polarisation/long_flows.h"
#include "polariscope/experiments/shared/experiment.h"

#include <vector>

namespace polariscope::experiments::polarisation::linear {

struct Protocol {
  flow::StartOptions start{.value_scale = 0.1, .score_scale = 0.1, .score_offset = 1.0};
  flow::FlowOptions flow{.until = kForever, .times = {}, .events = false, .singular_values = true, .progress = {}};
  int seeds = 0;
};
Protocol protocol_of(Preset preset);

// The flows of logistic loss from the same starts, one a seed, with singular values.
struct Measured {
  std::vector<flow::Trajectory> linear, softmax;
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs);
report::Section describe(const Protocol& protocol, const Measured& runs);

}  // namespace polariscope::experiments::polarisation::linear
