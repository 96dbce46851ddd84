// How fast a run goes.
#pragma once

#include <cstdint>
#include <deque>

namespace polariscope::live {

// From what is seen of a log: when it was last written, and the step that it then ended with.
class RateMeter {
 public:
  // `written` in seconds. A step before the last one seen begins anew: the run was resumed.
  void see(double written, std::int64_t step);

  // Steps a second over the last minute; 0 as long as the log was not seen to grow.
  double rate() const;

 private:
  struct Sight {
    double written = 0.0;
    std::int64_t step = 0;
  };
  std::deque<Sight> sights_;
};

}  // namespace polariscope::live
