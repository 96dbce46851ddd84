// How often a model answers rightly.
#pragma once

#include <cstdint>
#include <span>

namespace polariscope::metrics {

// Fraction of sequences whose prediction at the last position, where the answer stands, is the target. predictions,
// targets: [sequences, length]; what is predicted before the last position is not read. NaN without sequences. Throws
// Error for sizes that do not fit. Token is std::int32_t or std::int64_t.
template <class Token>
double answer_accuracy(std::span<const Token> predictions, std::span<const Token> targets, std::int64_t length);

}  // namespace polariscope::metrics
