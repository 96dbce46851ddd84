#include "polariscope/experiments/polarisation/condition_runs.h"

#include "polariscope/experiments/polarisation/descents.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace polariscope::experiments {
namespace {

constexpr double kStep = 1e-3;
constexpr std::int64_t kSteps = 300'000;
constexpr int kQuickSeeds = 5;
constexpr int kPaperSeeds = 20;

// Evenly in time as well as in its logarithm: figure 3 has a linear axis, where all that happens happens late.
std::vector<std::int64_t> samples() {
  std::vector<std::int64_t> steps = flow::log_samples(kSteps, 100);
  constexpr int kEven = 200;
  for (int i = 1; i < kEven; ++i) steps.push_back(kSteps / kEven * i);
  std::ranges::sort(steps);
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

ConditionRuns run_all(const Context& context) {
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  flow::StartOptions options = flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, softmax);
  options.outputs = options.tokens = options.samples = ConditionRuns::kDim;
  ConditionRuns runs;
  runs.seeds = context.paper() ? kPaperSeeds : kQuickSeeds;
  std::vector<Descent> descents;
  for (int condition = 1; condition <= ConditionRuns::kLargest; ++condition) {
    options.condition = condition;
    for (int i = 0; i < runs.seeds; ++i) {
      descents.push_back(
          {flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, softmax, options,
                              context.seed + i),
           {.step = kStep, .steps = kSteps, .samples = samples(), .singular_values = false, .progress = {}}});
    }
  }
  runs.trajectories = descend_all(context, descents, largest_share_note);
  return runs;
}

}  // namespace

std::span<const flow::Trajectory> ConditionRuns::at(int condition) const {
  return std::span(trajectories).subspan(static_cast<std::size_t>(condition - 1) * seeds, seeds);
}

std::shared_ptr<const ConditionRuns> condition_runs(const Context& context) {
  static std::mutex mutex;
  static std::map<std::pair<Preset, std::uint64_t>, std::shared_ptr<const ConditionRuns>> done;
  const std::lock_guard lock(mutex);
  auto& runs = done[{context.preset, context.seed}];
  if (!runs) runs = std::make_shared<const ConditionRuns>(run_all(context));
  return runs;
}

std::string condition_method(const ConditionRuns& runs) {
  return fmt::format(
      "Gradient descent on ‖β − XVσ(a)‖² with softmax, d = k = {0} and {0} samples; X is Gaussian with its singular "
      "values replaced by numbers evenly spaced from 1 to 1/κ, so κ is its condition number. V₀ = 1e-5·N(0, 1), "
      "a₀ = 1e-3·N(0, 1), step {1}, {2} steps, {3} seeds for each κ; the same seeds for every κ.",
      ConditionRuns::kDim, kStep, kSteps, runs.seeds);
}

std::vector<std::pair<std::string, std::string>> condition_configuration(const Context& context,
                                                                         const ConditionRuns& runs) {
  return {{"model", "value-softmax"},
          {"loss", "least-squares"},
          {"re-weighting", "softmax"},
          {"d = k = samples", fmt::format("{}", ConditionRuns::kDim)},
          {"condition number κ", fmt::format("1 to {}", ConditionRuns::kLargest)},
          {"β", "N(0, 1)"},
          {"V₀", "1e-5·N(0, 1)"},
          {"a₀", "1e-3·N(0, 1)"},
          {"step", fmt::format("{}", kStep)},
          {"steps", fmt::format("{}", kSteps)},
          {"seeds", fmt::format("{} to {}", context.seed, context.seed + runs.seeds - 1)}};
}

std::string condition_differences(const Context& context) {
  return context.paper() ? "" : fmt::format("{} seeds where the paper preset takes {}.", kQuickSeeds, kPaperSeeds);
}

}  // namespace polariscope::experiments
