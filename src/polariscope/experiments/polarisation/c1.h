// Corollary of lemma 3.5: under square loss the strength is finite and the weights stop short of one-hot.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <vector>

namespace polariscope::experiments::polarisation::c1 {

struct Protocol {
  EnsemblePlan ensemble{.like = {.loss = flow::Loss::kSquare},
                        .sizes = {2, 4, 8, 16},
                        .scales = {0.01, 0.1, 1.0},
                        .step = 0.1,
                        .steps = 2'000};
  // The fitted part of the loss, of its start: past the plateau at first, before rounding.
  double fit_from = 1e-3, fit_to = 1e-20;
  int shown_size = 8;
  double shown_scale = 0.1;
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  // Of every descent: the fitted rate of decay, the same over the bound 2/k, R² of the fit, the smallest
  // log(L(0)/L(t)) / (2t/k), and at the end max σ and ∫‖∇L‖dt.
  std::vector<double> rate, against_bound, straightness, under, top, strength;
  // Of those that are drawn, [descents][records].
  std::vector<double> t;
  std::vector<std::vector<double>> shown_loss, shown_strength, shown_top;

  void add(const Protocol& protocol, const flow::Trajectory& descent);
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::c1
