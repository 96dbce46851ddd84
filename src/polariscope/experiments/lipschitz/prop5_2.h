// Proposition 5.2 of the Lipschitz paper: the norm of an attention map lies within [1, √N].
#pragma once

#include "polariscope/experiments/shared/experiment.h"

#include <vector>

namespace polariscope::experiments::lipschitz::prop5_2 {

struct Protocol {
  std::vector<std::int64_t> tokens{2, 8, 32, 128};
  std::vector<double> alphas{1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0};
  std::vector<double> scales{0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0};  // of the logits under softmax
  long long each = 0;                                                    // maps a setting
};
Protocol protocol_of(Preset preset);

enum class Family { kDirichlet, kSoftmax, kCausalSoftmax };
struct Map {
  Family family;
  double parameter;  // α, or the scale of the logits
  std::int64_t tokens;
  double norm, entropy;
  double row_margin;  // smallest ‖p‖² − e^{−H} of its rows
};
using Measured = std::vector<Map>;
Measured measure(const Context& context, const Protocol& protocol);

double causal_floor(std::int64_t tokens);  // ‖P‖_F where each row spreads evenly over what it sees

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& maps);
report::Section describe(const Protocol& protocol, const Measured& maps);

}  // namespace polariscope::experiments::lipschitz::prop5_2
