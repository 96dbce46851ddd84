// Figure 2 of the Lipschitz paper, and its power law (8): what the variance of scores does to entropy.
#pragma once

#include "polariscope/experiments/lipschitz/controlled_variance.h"
#include "polariscope/experiments/shared/experiment.h"

#include <cmath>
#include <vector>

namespace polariscope::experiments::lipschitz::fig2 {

struct Protocol {
  ControlledScores scores;
  std::vector<double> scales{1.0, 2.0, 4.0, 8.0};  // σ
  // Of keys alone, and of query and key together, for the theory of small variances.
  std::vector<double> small_scales{0.03, 0.04, 0.06, 0.08, 0.11, 0.15, 0.21, 0.3};
  std::vector<std::int64_t> widths{2, 4, 12, 48, 192, 768};  // of the ReLU kernel
  std::int64_t width_queries = 0;
  long long seeds = 0;

  double log_keys() const { return std::log(static_cast<double>(scores.keys)); }
};
Protocol protocol_of(Preset preset);

// [attention][seed][scale]
using Sweep = std::vector<std::vector<std::vector<ControlledRows>>>;
struct Measured {
  Sweep paper;                                     // keys grow by `scales`
  Sweep small_keys, small_both;                    // by `small_scales`
  std::vector<std::vector<double>> relu_by_width;  // entropy, [width][seed]
};
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& measured);
report::Section describe(const Protocol& protocol, const Measured& measured);

}  // namespace polariscope::experiments::lipschitz::fig2
