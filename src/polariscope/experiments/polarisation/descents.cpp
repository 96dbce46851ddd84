#include "polariscope/experiments/polarisation/descents.h"

#include "polariscope/base/parallel.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <atomic>

namespace polariscope::experiments {

std::vector<Descent> descents_of(const Context& context, const DescentPlan& plan) {
  const reweighting::Reweighting& reweighting = reweighting::find_reweighting(plan.reweighting);
  std::vector<Descent> descents;
  for (int i = 0; i < plan.seeds; ++i) {
    descents.push_back({flow::random_start(plan.model, plan.loss, reweighting, plan.start, context.seed + i),
                        {.step = plan.step, .steps = plan.steps, .samples = {}, .progress = {}}});
  }
  return descents;
}

std::vector<flow::Trajectory> descend_all(const Context& context, const std::vector<Descent>& descents,
                                          const std::function<std::string(const flow::Trajectory&)>& note) {
  std::uint64_t total = 0;
  for (const Descent& descent : descents) total += descent.options.steps;
  Progress progress = context.progress(total, "steps");
  std::atomic<std::uint64_t> done = 0;
  std::vector<flow::Trajectory> trajectories(descents.size());
  parallel_for(static_cast<std::int64_t>(descents.size()), context.threads, [&](std::int64_t i) {
    const Descent& descent = descents[i];
    flow::DescentOptions options = descent.options;
    std::int64_t reported = 0;
    options.progress = [&](std::int64_t steps, const flow::Trajectory& trajectory) {
      if (descent.options.progress) descent.options.progress(steps, trajectory);
      progress.update(done += steps - reported, note(trajectory));
      reported = steps;
    };
    trajectories[i] = flow::descend(descent.start.problem, descent.start.state, options);
    done += descent.options.steps - reported;  // what a diverged trajectory did not do
  });
  progress.finish();
  return trajectories;
}

std::span<const flow::Trajectory> group_of(const std::vector<flow::Trajectory>& trajectories, int seeds, int group) {
  return std::span(trajectories).subspan(static_cast<std::size_t>(group) * seeds, seeds);
}

std::string largest_share_note(const flow::Trajectory& trajectory) {
  return fmt::format("largest share {:.4f}", final_share(trajectory));
}

}  // namespace polariscope::experiments
