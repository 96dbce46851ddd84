#include "polariscope/experiments/flow_section.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope {

Figure coordinate_figure(const Trajectory& trajectory, CoordinateFigure figure) {
  const Problem& problem = trajectory.problem;
  const bool shared = figure.record == Coordinate::kU;
  const std::vector<double>& record = figure.record == Coordinate::kSigma ? trajectory.sigma
                                      : shared                            ? trajectory.u
                                                                          : trajectory.scores;
  const int width = shared ? problem.tokens : trajectory.row_width();
  const int first = shared ? 0 : figure.row * problem.tokens;
  const int winner = static_cast<int>(trajectory.winner[trajectory.winner.size() - problem.rows + figure.row]);

  CoordinateChart chart{.x = {.title = "time t", .scale = figure.time},
                        .y = figure.y,
                        .time = trajectory.t,
                        .coordinates = {},
                        .initial = {trajectory.u.begin(), trajectory.u.begin() + problem.tokens},
                        .winner = winner,
                        .references = figure.references};
  for (int i = 0; i < problem.tokens; ++i) chart.coordinates.push_back(Trajectory::column(record, width, first + i));
  const double last = chart.coordinates[winner].back();
  return {.id = std::move(figure.id),
          .title = std::move(figure.title),
          .caption = std::move(figure.caption),
          .alternative = fmt::format("{} of {} tokens against time; the winner, token {}, ends at {:.4g}.",
                                     figure.y.title, problem.tokens, winner, last),
          .spec = coordinate_chart(chart),
          .table = table_of(chart)};
}

Multiple coordinate_panel(std::string title, const Trajectory& trajectory, CoordinateFigure figure) {
  Figure whole = coordinate_figure(trajectory, std::move(figure));
  return {.title = std::move(title), .spec = std::move(whole.spec), .table = std::move(whole.table)};
}

}  // namespace polariscope
