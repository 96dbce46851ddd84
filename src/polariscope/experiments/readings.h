// What experiments read off trajectories, and how it becomes a line over seeds.
#pragma once

#include "polariscope/experiments/measure.h"
#include "polariscope/flow/trajectory.h"
#include "polariscope/report/charts.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace polariscope {

// Position of the largest number; the first of equal ones.
int largest_of(std::span<const double> numbers);

// The share of the heaviest token, max |σ_i| / Σ|σ_j|: max σ where weights are positive and sum to one, and
// still a measure of polarisation where they do not. NaN for a row without weight.
double share_of(std::span<const double> sigma);

// At the last record, of the row of scores `row`.
double final_share(const Trajectory& trajectory, int row = 0);
int final_winner(const Trajectory& trajectory, int row = 0);
std::vector<double> final_sigma(const Trajectory& trajectory);  // [T·k]

// At the first record: the token that u draws most, and the one with the largest score.
int leader_of_u(const Trajectory& trajectory);
int leader_of_scores(const Trajectory& trajectory);

// One number per record.
std::vector<double> shares(const Trajectory& trajectory);

// Over trajectories: a figure of each, and how many have a property.
Spread spread_over(std::span<const Trajectory> trajectories, const std::function<double(const Trajectory&)>& figure);
long long count_of(std::span<const Trajectory> trajectories, const std::function<bool(const Trajectory&)>& property);

// Median with its range over trajectories that share their record times, as one line with a band; a
// trajectory that ended early is left out of what follows its end.
Series line_over(std::string name, std::span<const Trajectory> trajectories,
                 const std::function<std::vector<double>(const Trajectory&)>& record);

// A figure made of one chart, its table included.
Figure chart_figure(std::string id, std::string title, std::string caption, std::string alternative,
                    const SeriesChart& chart);

}  // namespace polariscope
