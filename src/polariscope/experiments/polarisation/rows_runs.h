// The runs behind A.rows: many rows of scores on shared values, from starts of several scales.
#pragma once

#include "polariscope/experiments/polarisation/long_flows.h"
#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/trajectory.h"

#include <cstdint>
#include <vector>

namespace polariscope::experiments {

struct RowsPlan {
  flow::StartOptions start{.outputs = 8, .tokens = 8, .rows = 8, .value_scale = 0.1};
  std::vector<double> scales{0.01, 0.1, 0.3, 1.0, 3.0};  // of a₀: what sets the rows apart
  std::size_t near = 2;                                  // the first so many of them count as starting close together
  std::size_t shown = 3;                                 // the scale of the flow that is drawn
  double step = 0.1;
  std::int64_t steps = 0, trajectories = 0;  // of gradient descent, for each scale
  int flows = 0;                             // for each scale, from the first of the same starts
  double until = kForever;                   // of the flows

  double last_time() const { return step * static_cast<double>(steps); }
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
  flow::Trajectory shown;                // the first flow of the scale that is drawn
};

RowsRuns rows_runs(const Context& context, const RowsPlan& plan);

}  // namespace polariscope::experiments
