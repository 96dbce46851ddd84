// The model of attention alone in plain loops, every tensor of the batch materialised, over attention's oracle.
#pragma once

#include "polariscope/models/attention_only.h"

#include <span>
#include <vector>

namespace polariscope::testing {

struct Reference {
  models::AttentionOnlyResult result;
  std::vector<double> gradient;
};

// Arguments as AttentionOnly<double>::step().
Reference attention_only_reference(const models::AttentionOnlyOptions& options, std::span<const double> values,
                                   std::span<const double> tokens, std::span<const double> answers);

}  // namespace polariscope::testing
