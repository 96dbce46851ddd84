// Theorem 3.2 of the polarisation paper: what stays in order along the logistic flow, and what does not.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <vector>

namespace polariscope::experiments::polarisation::thm3_2 {

struct Protocol {
  // Steps small enough that descent follows the flow, whose statements these are.
  EnsemblePlan ensemble{.sizes = {2, 3, 4, 8, 16}, .scales = {0.01, 0.1, 1.0}, .step = 0.1, .steps = 10'000};
  flow::FlowOptions flow;     // recorded densely to shown_until, sparsely beyond
  double shown_until = 1e12;  // where the figures end
  int shown_size = 4;
  double shown_scale = 0.1;
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  long long fallen_descents = 0;           // on which some difference of two losers falls
  std::vector<std::vector<double>> falls;  // [size][flow]: time of the first such fall; infinity for none
  flow::Trajectory shown;                  // one flow of the size and scale that are drawn
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::thm3_2
