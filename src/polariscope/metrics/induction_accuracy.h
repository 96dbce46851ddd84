// How often a model completes an induction sequence.
#pragma once

#include "polariscope/metrics/mean.h"

#include <cstdint>
#include <span>

namespace polariscope::metrics {

// Fraction of sequences whose prediction at the last position is the target. predictions, targets: [sequences, length],
// as tasks/induction.h fills targets; what is predicted before the last position is not read. NaN without sequences.
// Throws Error for sizes that do not fit. Token is std::int32_t or std::int64_t.
template <class Token>
Mean induction_accuracy(std::span<const Token> predictions, std::span<const Token> targets, std::int64_t length);

}  // namespace polariscope::metrics
