// Lemma D.2 of the polarisation paper: dL/dt ≤ −‖σ‖²‖∇L‖² at every point, whatever the loss and the re-weighting.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/report/charts.h"

#include <map>
#include <string_view>
#include <vector>

namespace polariscope::experiments::polarisation::lem_d_2 {

struct Protocol {
  std::vector<flow::Loss> losses{flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares,
                                 flow::Loss::kKl};
  // Every differentiable row of the table; at a kink (relu, L1) dL/dt is no derivative.
  std::vector<std::string_view> rows{"softmax",  "softmax1", "sigmoid",      "sigmoid/sum", "elu1",
                                     "elu1/sum", "identity", "identity/sum", "square/sum",  "uniform"};
  EnsemblePlan ensemble{.sizes = {3, 8}, .scales = {0.1, 1.0}, .step = 0.05, .steps = 1'000};  // of each loss and row
  double least_squares_step = 0.01;
  int shown_size = 8;
  double shown_scale = 1.0;

  // Unlike the order, the statement is about single points: how well descent follows the flow does not matter.
  double step_for(flow::Loss loss) const;
  EnsemblePlan plan(flow::Loss loss, std::string_view row) const;
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  long long records = 0, measured = 0;  // points in all, and those where dL/dt stands out of rounding
  // −dL/dt / (‖σ‖²‖∇L‖²) along the first descent of each row, by loss.
  std::map<flow::Loss, std::vector<report::Series>> ratios;
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::lem_d_2
