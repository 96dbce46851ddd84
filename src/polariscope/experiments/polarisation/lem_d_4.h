// Lemma D.4 of the polarisation paper: f/Σf with f' > 0 keeps the order of the scores.
#pragma once

#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include <string_view>
#include <vector>

namespace polariscope::experiments::polarisation::lem_d_4 {

struct Protocol {
  std::vector<flow::Loss> losses{flow::Loss::kLogistic, flow::Loss::kSquare};
  std::vector<std::string_view> rows{"softmax", "sigmoid/sum", "elu1/sum"};
  std::string_view signed_row = "identity/sum";  // f' = 1 > 0, but f changes sign
  double signed_offset = 1.0;                    // of its a₀
  // Of each loss and row; steps small enough that descent follows the flow.
  EnsemblePlan ensemble{.sizes = {2, 4, 8, 16}, .scales = {0.01, 0.1, 1.0}, .step = 0.05, .steps = 10'000};
  int shown_size = 6;
  double shown_scale = 0.1;
  std::int64_t shown_steps = 100'000;

  EnsemblePlan plan(flow::Loss loss, std::string_view row) const;
};
Protocol protocol_of(Preset preset);

struct Measured {
  Margins margins;
  long long overshot = 0, mirrored = 0;  // under square loss, starts beyond β, and those that keep the mirrored order
  long long with_sign = 0, negative = 0, in_order = 0;  // of the signed row: all, with a negative weight, in order
  std::vector<flow::Trajectory> shown;                  // logistic loss, of each row and then the signed one
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::polarisation::lem_d_4
