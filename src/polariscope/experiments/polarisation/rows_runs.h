// The runs behind A.rows: many rows of scores on shared values, from starts of several scales.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/trajectory.h"

#include <array>
#include <cstdint>
#include <vector>

namespace polariscope::experiments {

struct RowsPlan {
  static constexpr int kDim = 8;
  static constexpr int kRows = 8;
  static constexpr double kStep = 0.1;
  static constexpr std::array kScales{0.01, 0.1, 0.3, 1.0, 3.0};  // of a₀: what sets the rows apart
  static constexpr std::size_t kShownScale = 3;

  std::int64_t trajectories, steps;  // of gradient descent, for each scale
  int flows;                         // to t = 1e299, for each scale, from the first of the same starts
};

// Of the trajectories from starts of one scale: how many have all rows on one column.
struct Agreement {
  std::vector<double> t, fraction;  // at every record
  long long agree = 0;              // at the last one
  long long u_wins = 0;             // likewise, and the column is argmax u₀
  long long count = 0;
};

// Two columns that both still have rows at the end of a flow.
struct Split {
  double log_ratio;  // log(n₁/n₂) of their numbers of rows, n₁ ≥ n₂
  double gap;        // u₁ - u₂
};

struct RowsRuns {
  std::vector<Agreement> descent, flow;  // by scale
  std::vector<Split> splits;             // of all flows
  flow::Trajectory shown;                // the first flow of scale kShownScale
};

RowsRuns rows_runs(const Context& context, const RowsPlan& plan);

}  // namespace polariscope::experiments
