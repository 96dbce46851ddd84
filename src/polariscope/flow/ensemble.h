// Many random trajectories of gradient descent at once: W trajectories a SIMD vector, blocks of them
// over threads.
#pragma once

#include "polariscope/flow/descent.h"
#include "polariscope/flow/start.h"

#include <cstdint>
#include <functional>

namespace polariscope::flow {

struct EnsembleOptions {
  std::int64_t trajectories = 1000;
  int threads = 0;         // 0: one per processor
  DescentOptions descent;  // its progress is not called
  // Told how many trajectories are done, from any thread.
  std::function<void(std::int64_t done)> progress;
};

// Draws trajectory i by `draw(i)` (all of one shape), descends, and calls visit(i, trajectory), from any
// thread, once for each. The numbers of trajectory i do not depend on the number of threads, nor on the
// other trajectories. Throws what draw or visit throw, Error for an invalid problem, Interrupted.
void descend_ensemble(const std::function<Start(std::int64_t)>& draw, const EnsembleOptions& options,
                      const std::function<void(std::int64_t, const Trajectory&)>& visit);

}  // namespace polariscope::flow
