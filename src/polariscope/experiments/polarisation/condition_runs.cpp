#include "polariscope/experiments/polarisation/condition_runs.h"

#include "polariscope/experiments/polarisation/flow_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace polariscope::experiments {
namespace {

// Evenly in time as well as in its logarithm: figure 3 has a linear axis, where all that happens happens late.
std::vector<std::int64_t> samples(std::int64_t last) {
  std::vector<std::int64_t> steps = flow::log_samples(last, 100);
  constexpr int kEven = 200;
  for (int i = 1; i < kEven; ++i) steps.push_back(last / kEven * i);
  std::ranges::sort(steps);
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

}  // namespace

ConditionPlan condition_plan(Preset preset) {
  return {.descents = {.loss = flow::Loss::kLeastSquares,
                       .start = {.outputs = 20, .tokens = 20, .value_scale = 1e-5, .score_scale = 1e-3, .samples = 20},
                       .step = 1e-3,
                       .steps = 300'000,
                       .seeds = preset == Preset::kPaper ? 20 : 5}};
}

std::span<const flow::Trajectory> ConditionRuns::at(int condition) const {
  return group_of(trajectories, seeds, condition - 1);
}

ConditionRuns run_conditions(const Context& context, const ConditionPlan& plan) {
  std::vector<Descent> descents;
  for (int condition = 1; condition <= plan.largest; ++condition) {
    DescentPlan at = plan.descents;
    at.start.condition = condition;
    for (Descent& descent : descents_of(context, at)) {
      descent.options.samples = samples(at.steps);
      descents.push_back(std::move(descent));
    }
  }
  return {.seeds = plan.descents.seeds, .trajectories = descend_all(context, descents, largest_share_note)};
}

std::shared_ptr<const ConditionRuns> condition_runs(const Context& context) {
  static std::mutex mutex;
  static std::map<std::pair<Preset, std::uint64_t>, std::shared_ptr<const ConditionRuns>> done;
  const std::lock_guard lock(mutex);
  auto& runs = done[{context.preset, context.seed}];
  if (!runs) {
    runs = std::make_shared<const ConditionRuns>(run_conditions(context, condition_plan(context.preset)));
  }
  return runs;
}

std::string condition_method(const ConditionPlan& plan) {
  const DescentPlan& p = plan.descents;
  return fmt::format(
      "Gradient descent on ‖β − XVσ(a)‖² with {}, d = k = {} and {} samples; X is Gaussian with its singular values "
      "replaced by numbers evenly spaced from 1 to 1/κ, so κ is its condition number. V₀ = {}, a₀ = {}, step {}, {} "
      "steps, {} seeds for each κ; the same seeds for every κ.",
      p.reweighting, p.start.tokens, p.start.samples, values_in_words(p.start), scores_in_words(p.start), plain(p.step),
      counted(p.steps), p.seeds);
}

Quantities condition_quantities(const Context& context) {
  const ConditionPlan plan = condition_plan(context.preset);
  const DescentPlan& p = plan.descents;
  return {{"model", std::string(flow::model_name(p.model))},
          {"loss", std::string(flow::loss_name(p.loss))},
          {"re-weighting", std::string(p.reweighting)},
          {"d = k", counted(p.start.tokens)},
          {"samples", counted(p.start.samples)},
          {"condition number κ", fmt::format("1 to {}", plan.largest)},
          {"β", "N(0, 1)"},
          {"V₀", values_in_words(p.start)},
          {"a₀", scores_in_words(p.start)},
          {"step", plain(p.step)},
          counted_quantity("steps", p.steps, "steps"),
          seeds_quantity(context.seed, p.seeds)};
}

}  // namespace polariscope::experiments
