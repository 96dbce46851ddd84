#include "polariscope/experiments/polarisation/long_flows.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <atomic>

namespace polariscope::experiments {

std::vector<flow::Trajectory> integrate_all(const Context& context, const std::vector<flow::Start>& starts,
                                            const flow::FlowOptions& options) {
  Progress progress = context.progress(starts.size(), "flows");
  std::atomic<std::uint64_t> done = 0;
  std::vector<flow::Trajectory> trajectories(starts.size());
  parallel_for(static_cast<std::int64_t>(starts.size()), context.threads, [&](std::int64_t i) {
    try {
      trajectories[i] = flow::integrate(starts[i].problem, starts[i].state, options);
    } catch (const Interrupted&) {
      throw;
    } catch (const Error&) {
      trajectories[i] = flow::Trajectory::starting(starts[i].problem, starts[i].state);
    }
    progress.update(++done, fmt::format("largest share {:.6f}", final_share(trajectories[i])));
  });
  progress.finish();
  return trajectories;
}

}  // namespace polariscope::experiments
