#include "polariscope/live/rate_meter.h"

namespace polariscope::live {

void RateMeter::see(double written, std::int64_t step) {
  constexpr double kWindow = 60.0;  // seconds
  if (!sights_.empty() && step < sights_.back().step) sights_.clear();
  if (!sights_.empty() && (step == sights_.back().step || written <= sights_.back().written)) return;
  sights_.push_back({written, step});
  // Two stay however slow the run is.
  while (sights_.size() > 2 && sights_.front().written < written - kWindow) sights_.pop_front();
}

double RateMeter::rate() const {
  if (sights_.size() < 2) return 0.0;
  const Sight &first = sights_.front(), &last = sights_.back();
  return static_cast<double>(last.step - first.step) / (last.written - first.written);
}

}  // namespace polariscope::live
