#include "polariscope/experiments/shared/readings.h"

#include "polariscope/experiments/shared/spread_series.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::experiments {

int largest_of(std::span<const double> numbers) {
  return static_cast<int>(std::max_element(numbers.begin(), numbers.end()) - numbers.begin());
}

double share_of(std::span<const double> sigma) {
  double total = 0.0;
  double largest = 0.0;
  for (const double p : sigma) {
    total += std::abs(p);
    largest = std::max(largest, std::abs(p));
  }
  return total > 0.0 ? largest / total : std::numeric_limits<double>::quiet_NaN();
}

double final_share(const flow::Trajectory& trajectory, int row) {
  if (trajectory.points() == 0) return std::numeric_limits<double>::quiet_NaN();
  const std::size_t tokens = trajectory.problem.tokens;
  const std::size_t last = trajectory.sigma.size() - trajectory.row_width();
  return share_of(std::span(trajectory.sigma).subspan(last + row * tokens, tokens));
}

int final_winner(const flow::Trajectory& trajectory, int row) {
  return static_cast<int>(trajectory.winner[trajectory.winner.size() - trajectory.problem.rows + row]);
}

std::vector<double> final_sigma(const flow::Trajectory& trajectory) {
  return {trajectory.sigma.end() - trajectory.row_width(), trajectory.sigma.end()};
}

int leader_of_u(const flow::Trajectory& trajectory) {
  return largest_of(std::span(trajectory.u).first(trajectory.problem.tokens));
}

int leader_of_scores(const flow::Trajectory& trajectory) {
  return largest_of(std::span(trajectory.scores).first(trajectory.problem.tokens));
}

double first_of(const std::vector<double>& record) {
  return record.empty() ? std::numeric_limits<double>::quiet_NaN() : record.front();
}

double last_of(const std::vector<double>& record) {
  return record.empty() ? std::numeric_limits<double>::quiet_NaN() : record.back();
}

double largest_difference(const std::vector<double>& one, const std::vector<double>& other) {
  if (one.size() != other.size()) return std::numeric_limits<double>::infinity();
  double top = 0.0;
  for (std::size_t i = 0; i < one.size(); ++i) top = std::max(top, std::abs(one[i] - other[i]));
  return top;
}

std::vector<double> shares(const flow::Trajectory& trajectory) {
  std::vector<double> result;
  for (std::size_t i = 0; i < trajectory.points(); ++i) {
    const std::size_t first = i * trajectory.row_width();
    result.push_back(share_of(std::span(trajectory.sigma).subspan(first, trajectory.problem.tokens)));
  }
  return result;
}

Spread spread_over(std::span<const flow::Trajectory> trajectories,
                   const std::function<double(const flow::Trajectory&)>& figure) {
  std::vector<double> values;
  for (const flow::Trajectory& trajectory : trajectories) values.push_back(figure(trajectory));
  return spread_of(std::move(values));
}

long long count_of(std::span<const flow::Trajectory> trajectories,
                   const std::function<bool(const flow::Trajectory&)>& property) {
  return std::count_if(trajectories.begin(), trajectories.end(), property);
}

report::Series line_over(std::string name, std::span<const flow::Trajectory> trajectories,
                         const std::function<std::vector<double>(const flow::Trajectory&)>& record) {
  std::vector<std::vector<double>> records;
  std::vector<double> t;
  for (const flow::Trajectory& trajectory : trajectories) {
    records.push_back(record(trajectory));
    if (trajectory.t.size() > t.size()) t = trajectory.t;
  }
  for (std::vector<double>& numbers : records) numbers.resize(t.size(), std::numeric_limits<double>::quiet_NaN());
  return spread_series(std::move(name), t, records);
}

report::Figure chart_figure(std::string id, std::string title, std::string caption, std::string alternative,
                            const report::SeriesChart& chart) {
  return {.id = std::move(id),
          .title = std::move(title),
          .caption = std::move(caption),
          .alternative = std::move(alternative),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

}  // namespace polariscope::experiments
