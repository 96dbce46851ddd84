// Lemma D.1 of the polarisation paper: softmax flows do not see c·1 added to a, and conserve 1ᵀa.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <map>
#include <string_view>
#include <vector>

namespace polariscope::experiments::polarisation::lem_d_1 {

struct Protocol {
  std::vector<flow::Loss> losses{flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares,
                                 flow::Loss::kKl};
  EnsemblePlan ensemble{.sizes = {2, 8, 16}, .scales = {0.1, 1.0}, .step = 0.05, .steps = 2'000};  // of each loss
  flow::FlowOptions flow{.until = 100.0, .times = {}, .events = false, .progress = {}};
  // Softmax against two of its rivals, which do see the shift; all positive, so that any shift is allowed.
  std::vector<std::string_view> rows{"softmax", "sigmoid/sum", "elu1/sum"};
  std::vector<double> shifts{1.0, 10.0, 100.0, 1000.0};  // |c|, of both signs
  Setting shifted;                                       // of the losses in turn, and of each row
  std::int64_t starts = 0;                               // that are shifted
  // a + c keeps 16 digits of c: with |c| = 1000 that is 1e-13 of a, and the flow may amplify it.
  double unchanged = 1e-9;
  std::int64_t drawn = 20;  // descents a setting
};
Protocol protocol_of(Preset preset);

// The largest change of σ, u and V, [shift][start], by +c and by −c.
struct Effects {
  std::vector<std::vector<double>> up, down;
};

struct Measured {
  Margins margins;
  std::map<std::string_view, Effects> effects;  // of each row
  std::vector<double> travelled;                // how far a score moves on a descent that is drawn
  std::vector<double> t;
  std::map<flow::Loss, std::vector<std::vector<double>>> drift;  // of 1ᵀa so far, [descents][records]
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::lem_d_1
