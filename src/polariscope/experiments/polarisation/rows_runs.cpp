#include "polariscope/experiments/polarisation/rows_runs.h"

#include "polariscope/experiments/shared/readings.h"
#include "polariscope/flow/ensemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace polariscope::experiments {
namespace {

flow::Start draw(const RowsPlan& plan, double scale, std::uint64_t seed, std::uint64_t trajectory) {
  flow::StartOptions options = plan.start;
  options.score_scale = scale;
  return flow::random_start(flow::Model::kRows, flow::Loss::kLogistic, reweighting::find_reweighting("softmax"),
                            options, seed, trajectory);
}

bool agree_at(const flow::Trajectory& trajectory, std::size_t record) {
  const auto rows = static_cast<std::size_t>(trajectory.problem.rows);
  const auto winners = std::span(trajectory.winner).subspan(record * rows, rows);
  return static_cast<std::size_t>(std::ranges::count(winners, winners.front())) == winners.size();
}

void add(const flow::Trajectory& trajectory, Agreement& agreement) {
  if (agreement.t.empty()) {
    agreement.t = trajectory.t;
    agreement.fraction.assign(trajectory.t.size(), 0.0);
  }
  for (std::size_t p = 0; p < agreement.t.size(); ++p) agreement.fraction[p] += agree_at(trajectory, p);
  const bool agreed = agree_at(trajectory, agreement.t.size() - 1);
  agreement.agree += agreed;
  agreement.u_wins += agreed && final_winner(trajectory) == leader_of_u(trajectory);
  ++agreement.count;
}

// From counts to fractions.
void finish(Agreement& agreement) {
  for (double& fraction : agreement.fraction) fraction /= static_cast<double>(agreement.count);
}

void add_splits(const flow::Trajectory& flow, std::vector<Split>& splits) {
  const int tokens = flow.problem.tokens;
  std::vector<int> rows(tokens, 0);  // that end on each token
  for (int row = 0; row < flow.problem.rows; ++row) ++rows[final_winner(flow, row)];
  const auto u = std::span(flow.u).last(tokens);
  for (int one = 0; one < tokens; ++one) {
    for (int other = 0; other < tokens; ++other) {
      const bool ordered = rows[one] > rows[other] || (rows[one] == rows[other] && one < other);
      if (rows[other] == 0 || !ordered) continue;
      splits.push_back({std::log(static_cast<double>(rows[one]) / rows[other]), u[one] - u[other]});
    }
  }
}

std::vector<Agreement> run_descents(const Context& context, const RowsPlan& plan) {
  Progress progress = context.progress(plan.trajectories * plan.scales.size(), "trajectories");
  std::vector<Agreement> result;
  for (const double scale : plan.scales) {
    std::vector<flow::Trajectory> kept(plan.trajectories);  // visited in any order, added in theirs
    const auto before = static_cast<std::int64_t>(result.size()) * plan.trajectories;
    flow::descend_ensemble(
        [&](std::int64_t i) { return draw(plan, scale, context.seed, i); },
        {.trajectories = plan.trajectories,
         .threads = context.threads,
         .descent = {.step = plan.step, .steps = plan.steps, .samples = {}, .singular_values = false, .progress = {}},
         .progress = [&](std::int64_t done) { progress.update(before + done); }},
        [&](std::int64_t i, const flow::Trajectory& trajectory) {
          // Only what is counted, so that thousands fit into memory.
          kept[i].problem = trajectory.problem;
          kept[i].t = trajectory.t;
          kept[i].u = trajectory.u;
          kept[i].winner = trajectory.winner;
        });
    Agreement agreement;
    for (const flow::Trajectory& trajectory : kept) add(trajectory, agreement);
    finish(agreement);
    progress.update(before + plan.trajectories, fmt::format("rows agree in {:.3f}", agreement.fraction.back()));
    result.push_back(std::move(agreement));
  }
  progress.finish();
  return result;
}

}  // namespace

RowsRuns rows_runs(const Context& context, const RowsPlan& plan) {
  RowsRuns runs{.descent = run_descents(context, plan), .flow = {}, .splits = {}, .shown = {}};
  std::vector<flow::Start> starts;
  for (const double scale : plan.scales) {
    for (int i = 0; i < plan.flows; ++i) starts.push_back(draw(plan, scale, context.seed, i));
  }
  const std::vector<flow::Trajectory> flows =
      integrate_all(context, starts, {.until = plan.until, .times = {}, .events = false, .progress = {}});
  runs.flow.resize(plan.scales.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    if (flows[i].points() == 0) continue;
    add(flows[i], runs.flow[i / plan.flows]);
    add_splits(flows[i], runs.splits);
  }
  for (Agreement& agreement : runs.flow) finish(agreement);
  runs.shown = flows[plan.shown * plan.flows];
  return runs;
}

}  // namespace polariscope::experiments
