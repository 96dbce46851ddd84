// Lemma 3.5 of the polarisation paper: under square loss V stays along β, and two vectors say it all.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <vector>

namespace polariscope::experiments::polarisation::lem3_5 {

struct Protocol {
  EnsemblePlan zero;                         // V₀ = 0
  EnsemblePlan noise;                        // V₀ = scale·N(0, 1), so many as from zero
  flow::FlowOptions flow;                    // to where descent ends
  std::vector<int> compared_sizes{2, 4, 8};  // full against reduced, under the losses that close over u and a
  std::int64_t compared = 0;                 // starts a setting
  double compared_rtol = 1e-12;
  double agreement = 1e-8;    // what full and reduced are held to
  double most_growth = 1e-7;  // of what is orthogonal to β, of its start: rounding
  int shown_size = 8;
  double shown_scale = 1.0;

  // Square loss from V₀ = 0, and logistic loss from any V₀.
  std::vector<Setting> compared_settings() const;
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  // Largest growth of ‖V − βuᵀ/‖β‖²‖ from one record to the next, against its start, of every trajectory from noise.
  std::vector<double> growth;
  // Largest difference of a, u and σ over all records, of every start that is compared.
  std::vector<double> by_descent, by_flow;
  // Of the flows that are drawn: ‖V − βuᵀ/‖β‖²‖ against its start, [flows][records].
  std::vector<double> t;
  std::vector<std::vector<double>> shown;
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::lem3_5
