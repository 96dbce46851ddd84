// Figure 9 and Appendix G of the Lipschitz paper: entropy and norm of random rows of attention.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::experiments::lipschitz::fig9 {

struct Protocol {
  std::vector<double> alphas{0.1, 0.001};
  std::int64_t keys = 200;
  std::int64_t rows = 0;  // a seed
  long long seeds = 0;
};
Protocol protocol_of(Preset preset);

// Rows of one α.
struct Rows {
  std::vector<double> entropy, norm;  // [seeds * rows], a seed's rows together

  metrics::Mean mean_entropy() const;
  metrics::Mean mean_square() const;  // ‖p‖²
};
using Measured = std::vector<Rows>;  // by α
Measured measure(const Context& context, const Protocol& protocol);

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& samples);
report::Section describe(const Protocol& protocol, const Measured& samples);

}  // namespace polariscope::experiments::lipschitz::fig9
