// Theorem 3.3 of the polarisation paper: the logistic flow tends to one-hot weights and zero loss.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <vector>

namespace polariscope::experiments::polarisation::thm3_3 {

struct Protocol {
  EnsemblePlan ensemble{.sizes = {2, 4, 8, 16}, .scales = {0.01, 0.1, 1.0}, .step = 0.1, .steps = 10'000};
  flow::FlowOptions flow{.until = 1e299, .times = {}, .solver = flow::Solver::kBdf, .events = false, .progress = {}};
  int shown_size = 8;  // drawn at all scales
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  std::vector<double> top, strength, loss;  // of every flow, at its end
  // Of the flows that are drawn, [flows][records]; spread: 1 − max σ.
  std::vector<double> t;
  std::vector<std::vector<double>> shown_spread, shown_strength, shown_loss;
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::thm3_3
