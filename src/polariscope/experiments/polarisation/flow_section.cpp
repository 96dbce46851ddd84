#include "polariscope/experiments/polarisation/flow_section.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/measure.h"

#include <fmt/format.h>

namespace polariscope::experiments {

report::Figure coordinate_figure(const flow::Trajectory& trajectory, CoordinateFigure figure) {
  const flow::Problem& problem = trajectory.problem;
  const bool shared = figure.record == Coordinate::kU;
  const std::vector<double>& record = figure.record == Coordinate::kSigma ? trajectory.sigma
                                      : shared                            ? trajectory.u
                                                                          : trajectory.scores;
  const int width = shared ? problem.tokens : trajectory.row_width();
  const int first = shared ? 0 : figure.row * problem.tokens;
  const int winner = static_cast<int>(trajectory.winner[trajectory.winner.size() - problem.rows + figure.row]);

  report::CoordinateChart chart{.x = {.title = "time t", .scale = figure.time},
                                .y = figure.y,
                                .time = trajectory.t,
                                .coordinates = {},
                                .initial = {trajectory.u.begin(), trajectory.u.begin() + problem.tokens},
                                .winner = winner,
                                .references = figure.references};
  for (int i = 0; i < problem.tokens; ++i)
    chart.coordinates.push_back(flow::Trajectory::column(record, width, first + i));
  std::vector<double> others;
  for (int i = 0; i < problem.tokens; ++i) {
    if (i != winner) others.push_back(chart.coordinates[i].back());
  }
  const Spread rest = spread_of(others);
  const std::string ends =
      fmt::format("The heaviest token, {}, ends at {}, the others between {} and {}.", winner,
                  significant(chart.coordinates[winner].back()), significant(rest.low), significant(rest.high));
  return {.id = std::move(figure.id),
          .title = std::move(figure.title),
          .caption = figure.caption.empty() ? ends : fmt::format("{} {}", figure.caption, ends),
          .alternative = fmt::format("{} of {} tokens against time. {}", figure.y.title, problem.tokens, ends),
          .spec = report::coordinate_chart(chart),
          .table = report::table_of(chart)};
}

Multiple coordinate_panel(std::string title, const flow::Trajectory& trajectory, CoordinateFigure figure) {
  report::Figure whole = coordinate_figure(trajectory, std::move(figure));
  return {.title = std::move(title), .spec = std::move(whole.spec), .table = std::move(whole.table)};
}

}  // namespace polariscope::experiments
