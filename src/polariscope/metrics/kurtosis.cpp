#include "polariscope/metrics/kurtosis.h"

#include "polariscope/metrics/internal/moments.h"

namespace polariscope::metrics {

template <class T>
double kurtosis(std::span<const T> hidden) {
  return standardised_moment(hidden, 4);
}

template double kurtosis(std::span<const float>);
template double kurtosis(std::span<const double>);

}  // namespace polariscope::metrics
