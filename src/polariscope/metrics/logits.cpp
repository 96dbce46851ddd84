#include "polariscope/metrics/logits.h"

#include "polariscope/metrics/internal/moments.h"
#include "polariscope/metrics/internal/rows.h"

#include <cmath>
#include <limits>

namespace polariscope::metrics {
namespace {

// NaN once there is one.
double larger(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

}  // namespace

template <class T>
std::vector<Mean> logit_variance(const AttentionMap<T>& logits) {
  return mean_over_rows(logits, [](std::span<const T> row) {
    const double mean = mean_of(row);
    double squares = 0.0;
    for (const double z : row) squares += (z - mean) * (z - mean);
    return squares / static_cast<double>(row.size());
  });
}

template <class T>
std::vector<MaxLogit> max_logit(const AttentionMap<T>& logits) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  return over_rows(logits, MaxLogit{kNothing, kNothing}, [](MaxLogit& head, std::span<const T> row) {
    for (const double z : row) {
      head.maximum = larger(head.maximum, z);
      head.absolute_maximum = larger(head.absolute_maximum, std::abs(z));
    }
  });
}

template std::vector<Mean> logit_variance(const AttentionMap<float>&);
template std::vector<Mean> logit_variance(const AttentionMap<double>&);
template std::vector<MaxLogit> max_logit(const AttentionMap<float>&);
template std::vector<MaxLogit> max_logit(const AttentionMap<double>&);

}  // namespace polariscope::metrics
