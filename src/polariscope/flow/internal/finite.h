// Whether a state can still be believed.
#pragma once

#include "polariscope/flow/problem.h"

#include <algorithm>
#include <cmath>

namespace polariscope::flow {

inline bool all_finite(const State& state) {
  const auto finite = [](const std::vector<double>& x) {
    return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
  };
  return finite(state.values) && finite(state.scores) && finite(state.projections);
}

}  // namespace polariscope::flow
