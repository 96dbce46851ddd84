// Figure 13 of the polarisation paper: nine re-weighting functions under logistic and square loss.
#pragma once

#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/shared/experiment.h"

#include <functional>
#include <map>
#include <string_view>
#include <vector>

namespace polariscope::experiments::polarisation::fig13 {

struct Protocol {
  // The paper's six, then ours: it speaks of elementwise ReLU where its code normalises.
  std::vector<std::string_view> functions{"softmax", "abs/sum", "identity/sum", "square/sum", "relu/sum",
                                          "sigmoid", "relu",    "elu1/sum",     "sigmoid/sum"};
  std::size_t papers = 6;
  // Those whose flow can be followed to the end: |a| and ReLU have kinks along which the flow slides, which
  // only ReLU's flow leaves.
  std::vector<std::string_view> smooth{"softmax", "square/sum", "relu/sum", "sigmoid", "elu1/sum", "sigmoid/sum"};
  DescentPlan logistic, square;  // of each function, from the same starts
  double until = 0.0;            // the logistic flow's horizon
};
Protocol protocol_of(Preset preset);

using BySeed = std::map<std::string_view, std::vector<flow::Trajectory>>;  // of each function
struct Measured {
  int seeds = 0;
  BySeed logistic, square;  // by gradient descent
  BySeed flow;              // of the logistic loss, where it is smooth; without records where it cannot be followed
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& runs);
report::Section describe(const Protocol& protocol, const Measured& runs);

}  // namespace polariscope::experiments::polarisation::fig13
