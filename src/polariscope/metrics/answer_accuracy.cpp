#include "polariscope/metrics/answer_accuracy.h"

#include "polariscope/base/error.h"

namespace polariscope::metrics {

template <class Token>
double answer_accuracy(std::span<const Token> predictions, std::span<const Token> targets, std::int64_t length) {
  if (length < 1 || predictions.size() != targets.size() || targets.size() % static_cast<std::size_t>(length) != 0) {
    throw Error("accuracy of answers: {} predictions and {} targets: both must be whole sequences of {}",
                predictions.size(), targets.size(), length);
  }
  const auto step = static_cast<std::size_t>(length);
  std::int64_t right = 0;
  for (std::size_t last = step - 1; last < targets.size(); last += step) right += predictions[last] == targets[last];
  const std::size_t sequences = targets.size() / step;
  return static_cast<double>(right) / static_cast<double>(sequences);
}

template double answer_accuracy(std::span<const std::int32_t>, std::span<const std::int32_t>, std::int64_t);
template double answer_accuracy(std::span<const std::int64_t>, std::span<const std::int64_t>, std::int64_t);

}  // namespace polariscope::metrics
