// What the first steps of a training say of the rest: a few numbers for a forecast of collapse (docs/forecast.md).
#pragma once

#include "polariscope/runs/watched_steps.h"

#include <array>
#include <span>
#include <string_view>

namespace polariscope::runs {

// A trend is how much the natural logarithm changes over the steps, by the line of least squares through them.
inline constexpr std::array<std::string_view, 9> kEarlySigns{"trend of the least head's entropy",
                                                             "trend of the mean entropy",
                                                             "trend of the logit variance",
                                                             "trend of the norm of P",
                                                             "trend of the loss",
                                                             "largest gradient over its median",
                                                             "learning rate",
                                                             "least entropy at the end",
                                                             "largest logit variance at the end"};
using EarlySigns = std::array<double, kEarlySigns.size()>;

inline constexpr std::size_t kFewestEarlySteps = 10;

// Logarithms all of them; "at the end": over the last fifth of the steps. A sign of which too few steps have a number
// above 0 is 0. steps: at least kFewestEarlySteps; learning_rate > 0.
EarlySigns early_signs(std::span<const WatchedStep> steps, double learning_rate);

}  // namespace polariscope::runs
