#include "polariscope/metrics/induction_accuracy.h"

#include "polariscope/base/error.h"

namespace polariscope::metrics {

template <class Token>
Mean induction_accuracy(std::span<const Token> predictions, std::span<const Token> targets, std::int64_t length) {
  if (length < 1 || predictions.size() != targets.size() || targets.size() % static_cast<std::size_t>(length) != 0) {
    throw Error("induction accuracy: {} predictions and {} targets: both must be whole sequences of {}",
                predictions.size(), targets.size(), length);
  }
  const auto step = static_cast<std::size_t>(length);
  Mean accuracy;
  for (std::size_t last = step - 1; last < targets.size(); last += step) {
    accuracy.add(predictions[last] == targets[last] ? 1.0 : 0.0);
  }
  return accuracy;
}

template Mean induction_accuracy(std::span<const std::int32_t>, std::span<const std::int32_t>, std::int64_t);
template Mean induction_accuracy(std::span<const std::int64_t>, std::span<const std::int64_t>, std::int64_t);

}  // namespace polariscope::metrics
