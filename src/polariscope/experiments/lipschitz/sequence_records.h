// What a training of in-context regression leaves of one unseen sequence (docs/training.md). All are empty for a run
// that left no such file.
#pragma once

#include "polariscope/experiments/lipschitz/regression_runs.h"

#include <vector>

namespace polariscope::experiments {

// Points (Var, H) of every row at every step that is kept, [layers][points].
struct RowRecords {
  std::vector<std::vector<double>> variance, entropy;
};
RowRecords rows_of(const RegressionRun& run);

// P of the first layer, [maps][N·N] row-major, at a few steps.
struct MapRecords {
  std::vector<double> step;
  std::vector<std::vector<double>> maps;
};
MapRecords first_layer_maps(const RegressionRun& run);

// Every p of every layer at the step whose rows were most skewed.
std::vector<double> most_skewed_weights(const RegressionRun& run);

}  // namespace polariscope::experiments
