#include "polariscope/experiments/polarisation/start_map.h"

#include "polariscope/experiments/shared/readings.h"
#include "polariscope/flow/ensemble.h"

#include <cmath>
#include <limits>
#include <utility>

namespace polariscope::experiments {
namespace {

MapCell run_cell(const Context& context, const MapPlan& plan, const flow::StartOptions& options) {
  const reweighting::Reweighting& reweighting = reweighting::find_reweighting(plan.reweighting);
  std::vector<double> entropies(plan.per_cell, std::numeric_limits<double>::quiet_NaN());
  std::vector<char> u_wins(plan.per_cell, 0);  // not bool: threads write neighbours
  flow::descend_ensemble(
      [&](std::int64_t i) {
        return flow::random_start(flow::Model::kValueSoftmax, plan.loss, reweighting, options, context.seed, i);
      },
      {.trajectories = plan.per_cell,
       .threads = context.threads,
       .descent = {.step = plan.step,
                   .steps = plan.steps,
                   .samples = {0, plan.steps},
                   .singular_values = false,
                   .progress = {}},
       .progress = {}},
      [&](std::int64_t i, const flow::Trajectory& trajectory) {
        if (trajectory.ending == flow::Ending::kDiverged) return;
        entropies[i] = trajectory.abs_entropy.back() / std::log(options.tokens);
        u_wins[i] = final_winner(trajectory) == leader_of_u(trajectory);
      });
  const Spread entropy = spread_of(std::move(entropies));
  double wins = 0.0;
  for (const char won : u_wins) wins += won;
  const auto kept = static_cast<double>(entropy.runs);
  return {.entropy = entropy.median, .u_wins = wins / kept, .lost = 1.0 - kept / static_cast<double>(plan.per_cell)};
}

}  // namespace

std::vector<double> StartMap::all(double MapCell::*figure) const {
  std::vector<double> values;
  for (const auto& row : cells) {
    for (const MapCell& cell : row) values.push_back(cell.*figure);
  }
  return values;
}

StartMap run_map(const Context& context, const MapPlan& plan, const std::function<void(const MapCell&)>& done) {
  StartMap map{.rows = plan.rows, .columns = plan.columns, .cells = {}};
  for (const double row : plan.rows) {
    auto& cells = map.cells.emplace_back();
    for (const double column : plan.columns) {
      cells.push_back(run_cell(context, plan, plan.start(row, column)));
      done(cells.back());
    }
  }
  return map;
}

Multiple map_panel(const StartMap& map, MapPanel panel) {
  report::HeatMap chart{.x = {std::move(panel.x)},
                        .y = {std::move(panel.y)},
                        .value_title = std::move(panel.value),
                        .columns = map.columns,
                        .rows = map.rows,
                        .values = {},
                        .low = 0.0,
                        .high = 1.0,
                        .outlined = {},
                        .square = panel.square};
  for (const auto& row : map.cells) {
    auto& values = chart.values.emplace_back();
    for (const MapCell& cell : row) values.push_back(cell.*panel.figure);
  }
  return {.title = std::move(panel.title), .spec = report::heat_map(chart), .table = report::table_of(chart)};
}

}  // namespace polariscope::experiments
