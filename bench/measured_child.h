// A process as a whole: how long it took, how many processors it had, and the memory it held at most.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace polariscope::bench {

struct MeasuredRun {
  double seconds = 0.0;     // wall
  double processors = 0.0;  // processor time over wall time
  std::int64_t peak_bytes = 0;
  std::string output;  // standard output
};

// Throws Error with the exit status and what it wrote to its standard error. What this process holds itself counts
// into the peak, since a child begins as its copy: measure from a small one.
MeasuredRun run_measured(const std::vector<std::string>& arguments);

}  // namespace polariscope::bench
