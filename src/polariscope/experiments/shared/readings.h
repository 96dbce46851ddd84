// What experiments read off trajectories, and how it becomes a line over seeds.
#pragma once

#include "polariscope/experiments/shared/measure.h"
#include "polariscope/flow/trajectory.h"
#include "polariscope/report/charts.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace polariscope::experiments {

// Position of the largest number; the first of equal ones.
int largest_of(std::span<const double> numbers);

// The share of the heaviest token, max |σ_i| / Σ|σ_j|: max σ where weights are positive and sum to one, and
// still a measure of polarisation where they do not. NaN for a row without weight.
double share_of(std::span<const double> sigma);

// At the last record, of the row of scores `row`.
double final_share(const flow::Trajectory& trajectory, int row = 0);
int final_winner(const flow::Trajectory& trajectory, int row = 0);
std::vector<double> final_sigma(const flow::Trajectory& trajectory);  // [T·k]

// At the first record: the token that u draws most, and the one with the largest score.
int leader_of_u(const flow::Trajectory& trajectory);
int leader_of_scores(const flow::Trajectory& trajectory);

// Of a record with one number each: at the first and at the last; NaN of a trajectory without records, as an integrator
// that gave up leaves one.
double first_of(const std::vector<double>& record);
double last_of(const std::vector<double>& record);

// Of two records of the same trajectory, any two numbers in the same place; infinite where one has ended before the
// other.
double largest_difference(const std::vector<double>& one, const std::vector<double>& other);

// One number per record.
std::vector<double> shares(const flow::Trajectory& trajectory);

// Over trajectories: a figure of each, and how many have a property.
Spread spread_over(std::span<const flow::Trajectory> trajectories,
                   const std::function<double(const flow::Trajectory&)>& figure);
long long count_of(std::span<const flow::Trajectory> trajectories,
                   const std::function<bool(const flow::Trajectory&)>& property);

// Median with its range over trajectories that share their record times, as one line with a band; a
// trajectory that ended early is left out of what follows its end.
report::Series line_over(std::string name, std::span<const flow::Trajectory> trajectories,
                         const std::function<std::vector<double>(const flow::Trajectory&)>& record);

// A figure made of one chart, its table included.
report::Figure chart_figure(std::string id, std::string title, std::string caption, std::string alternative,
                            const report::SeriesChart& chart);

}  // namespace polariscope::experiments
