// Maps over the space of starts: what becomes of the random trajectories of each cell.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/flow/start.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace polariscope::experiments {

struct MapPlan {
  flow::Loss loss = flow::Loss::kLogistic;
  std::string_view reweighting = "softmax";
  double step = 0.1;
  std::int64_t steps = 1000;
  std::int64_t per_cell = 1;  // trajectories; trajectory i of every cell has the same draws, scaled
  std::vector<double> rows, columns;
  std::function<flow::StartOptions(double row, double column)> start;
};

// What is left of one cell's trajectories.
struct MapCell {
  double entropy = 0.0;  // median of the final entropy of |σ|/Σ|σ| against its largest, log k
  double u_wins = 0.0;   // fraction in which argmax σ at the end = argmax u₀
  double lost = 0.0;     // fraction that diverged; not in the other two
};

struct StartMap {
  std::vector<double> rows, columns;
  std::vector<std::vector<MapCell>> cells;  // [rows][columns]

  std::vector<double> all(double MapCell::*figure) const;
};

// Gradient descent of the value–softmax model; `done` is told each cell as it is finished.
StartMap run_map(const Context& context, const MapPlan& plan, const std::function<void(const MapCell&)>& done);

// One figure of the cells, from 0 to 1 in every panel so that panels compare.
struct MapPanel {
  std::string title, x, y, value;
  double MapCell::*figure = nullptr;
  bool square = false;  // where both axes are scales
};
Multiple map_panel(const StartMap& map, MapPanel panel);

}  // namespace polariscope::experiments
