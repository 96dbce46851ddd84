// Lemma B.1 of the polarisation paper: the losers' alignments stay bounded, V tends to rank one, and at which rate.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <utility>
#include <vector>

namespace polariscope::experiments::polarisation::lem_b_1 {

struct Protocol {
  EnsemblePlan reduced{.sizes = {2, 4, 8, 16}, .scales = {0.1}};
  EnsemblePlan full{.sizes = {2, 4, 8}, .scales = {0.1}};  // V itself is needed for its rank alone
  flow::FlowOptions flow, full_flow;
  double fit_from = 1e150;
  std::size_t shown = 2;  // of the reduced sizes: the one whose rate is drawn and whose milestones are judged
  // max σ at these times for that size, from a first integration by other means.
  std::vector<std::pair<double, double>> milestones{{1e5, 0.975}, {1e12, 0.997}, {1e299, 0.999996}};
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  std::vector<double> t;                                 // of the records
  std::vector<std::vector<std::vector<double>>> ratios;  // mean σ_i/σ_1 over i ≠ 1, [size][flow][record]
  std::vector<double> slopes, constants;                 // of the fit, of every flow
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::lem_b_1
