// Equation (9) of the Lipschitz paper: a layer's steepness, what bounds it, and which term of the bound speaks.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/metrics/lipschitz_bound.h"

#include <cmath>
#include <vector>

namespace polariscope::experiments::lipschitz::bound9 {

struct Size {
  std::int64_t tokens, width;
};
struct Protocol {
  std::vector<Size> sizes{{20, 4}, {8, 8}, {20, 16}, {64, 16}};  // the first is drawn against the scale
  std::vector<double> scales{0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 7.0, 15.0, 40.0};
  std::int64_t seeds = 0;  // layers a scale and size
  double collapsed = 0.1;  // of log N: entropy below it counts as collapsed
};
Protocol protocol_of(Preset preset);

// One layer of one scale; all that is measured of it is what equation (9) is made of.
struct Layer {
  double scale;
  Size size;
  metrics::LipschitzBound bound;

  double relative_entropy() const { return bound.entropy / std::log(static_cast<double>(size.tokens)); }
  double norm_share() const { return bound.frobenius_norm / bound.printed(); }
};
using Measured = std::vector<Layer>;  // by size, seed and scale, the scale varying fastest
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& layers);
report::Section describe(const Protocol& protocol, const Measured& layers);

}  // namespace polariscope::experiments::lipschitz::bound9
