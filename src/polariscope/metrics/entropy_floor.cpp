#include "polariscope/metrics/entropy_floor.h"

#include "polariscope/base/error.h"

#include <cmath>

namespace polariscope::metrics {

double entropy_floor(std::int64_t keys, double norm) {
  if (keys < 1) throw Error("entropy floor: {} keys: at least 1 is needed", keys);
  if (!(norm >= 0.0)) throw Error("entropy floor: a norm of {}: it must not be negative", norm);
  if (keys == 1 || std::isinf(norm)) return 0.0;
  const auto T = static_cast<double>(keys);
  const double lead = norm * std::sqrt(T / (T - 1.0));  // of the one logit over the others
  const double others = (T - 1.0) * std::exp(-lead);    // their weight where the one has weight 1
  return std::log1p(others) + lead * others / (1.0 + others);
}

}  // namespace polariscope::metrics
