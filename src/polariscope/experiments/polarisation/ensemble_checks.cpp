#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/flow/checks.h"
#include "polariscope/flow/ensemble.h"

#include <fmt/format.h>

#include <utility>

namespace polariscope::experiments {
namespace {

constexpr double kDescentTolerance = 1e-10;
constexpr double kFlowTolerance = 100.0;  // times rtol

}  // namespace

std::string Setting::name() const {
  return fmt::format("{}, {}, k = {}, V₀ = {}·N{}", flow::loss_name(loss), reweighting->name, start.tokens,
                     significant(start.value_scale), along_beta ? " along β" : "");
}

flow::Start Setting::draw(std::uint64_t seed, std::uint64_t trajectory) const {
  flow::Start drawn = flow::random_start(model, loss, *reweighting, start, seed, trajectory);
  if (!along_beta) return drawn;
  const std::vector<double> u = flow::projections(drawn.problem, drawn.state);
  for (int i = 0; i < start.outputs; ++i) {  // ‖β‖ = 1
    for (int j = 0; j < start.tokens; ++j) {
      drawn.state.values[i * start.tokens + j] = drawn.problem.beta[i] * u[j];
    }
  }
  return drawn;
}

std::vector<Setting> settings_of(const Setting& like, std::span<const int> sizes, std::span<const double> scales) {
  std::vector<Setting> settings;
  for (const int size : sizes) {
    for (const double scale : scales) {
      settings.push_back(like);
      settings.back().start.outputs = settings.back().start.tokens = size;
      settings.back().start.value_scale = scale;
    }
  }
  return settings;
}

std::vector<Setting> EnsemblePlan::reduced() const {
  Setting small = like;
  small.model = flow::Model::kReduced;
  return settings_of(small, sizes, scales);
}

Quantities start_rows(const EnsemblePlan& plan, std::string model) {
  return {{"model", std::move(model)},
          {"loss", std::string(flow::loss_name(plan.like.loss))},
          {"re-weighting", std::string(plan.like.reweighting->name)},
          sizes_row(plan),
          values_row(plan),
          {"a₀", scores_in_words(plan.like.start)}};
}

Quantity sizes_row(const EnsemblePlan& plan) { return {"d = k", listed(plan.sizes)}; }

Quantity values_row(const EnsemblePlan& plan) {
  if (plan.scales.size() == 1) return {"V₀", normal_in_words(plan.scales.front())};
  return {"V₀", fmt::format("scale·N(0, 1), scale {}", listed(plan.scales))};
}

Quantity descents_row(const EnsemblePlan& plan, long long kinds) {
  return counted_quantity("descents a setting", plan.descents, "descents", plan.count() * kinds);
}

Quantity steps_row(const EnsemblePlan& plan) {
  return {"step, steps", fmt::format("{}, {}", plain(plan.step), counted(plan.steps))};
}

Quantity flows_row(const EnsemblePlan& plan, long long kinds) {
  return counted_quantity("flows a setting", plan.flows, "flows", plan.count() * kinds);
}

CheckedEnsemble::CheckedEnsemble(const Context& context, std::vector<std::string_view> checks,
                                 std::int64_t trajectories)
    : context_(context),
      margins_(std::move(checks)),
      progress_(context.progress(static_cast<std::uint64_t>(trajectories), "trajectories")) {}

void CheckedEnsemble::add(const std::string& group, const flow::Trajectory& trajectory, double tolerance) {
  for (const std::string_view id : margins_.checks()) {
    const flow::CheckResult result = flow::run_check(flow::find_check(id), trajectory, tolerance);
    if (!result.applies) continue;
    violations_ += result.holds() ? 0 : 1;
    const std::lock_guard lock(mutex_);
    margins_.add(id, group, result.margin);
  }
  progress_.update(static_cast<std::uint64_t>(++done_), fmt::format("{} violations", violations_.load()));
}

void CheckedEnsemble::descend(std::span<const Setting> settings, std::int64_t each, const flow::DescentOptions& options,
                              const Visit& visit) {
  for (std::size_t s = 0; s < settings.size(); ++s, next_stream_ += each) {
    const std::string group = "descent: " + settings[s].name();
    flow::descend_ensemble([&](std::int64_t i) { return settings[s].draw(context_.seed, next_stream_ + i); },
                           {.trajectories = each, .threads = context_.threads, .descent = options, .progress = {}},
                           [&](std::int64_t i, const flow::Trajectory& trajectory) {
                             add(group, trajectory, kDescentTolerance);
                             if (visit) visit(s, i, trajectory);
                           });
  }
}

void CheckedEnsemble::integrate(std::span<const Setting> settings, std::int64_t each, const flow::FlowOptions& options,
                                const Visit& visit) {
  for (std::size_t s = 0; s < settings.size(); ++s, next_stream_ += each) {
    const std::string group = "flow: " + settings[s].name();
    parallel_for(each, context_.threads, [&](std::int64_t i) {
      const flow::Start start = settings[s].draw(context_.seed, next_stream_ + i);
      const flow::Trajectory trajectory = flow::integrate(start.problem, start.state, options);
      add(group, trajectory, kFlowTolerance * options.rtol);
      if (visit) visit(s, i, trajectory);
    });
  }
}

Margins CheckedEnsemble::finish() {
  progress_.finish(fmt::format("{} violations", violations_.load()));
  return std::move(margins_);
}

}  // namespace polariscope::experiments
