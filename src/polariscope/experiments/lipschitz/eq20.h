// Equation (20) of the Lipschitz paper: the entropy of a normal density is not the entropy of attention.
#pragma once

#include "polariscope/experiments/lipschitz/controlled_variance.h"
#include "polariscope/experiments/shared/experiment.h"

#include <vector>

namespace polariscope::experiments::lipschitz::eq20 {

struct Protocol {
  ControlledScores scores;
  std::vector<double> scales{0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0};  // σ
  long long seeds = 0;
};
Protocol protocol_of(Preset preset);

// Both entropies along σ, of one seed.
struct Pair {
  std::vector<double> differential, attention;  // [scales]
};
using Measured = std::vector<Pair>;
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& pairs);
report::Section describe(const Protocol& protocol, const Measured& pairs);

}  // namespace polariscope::experiments::lipschitz::eq20
