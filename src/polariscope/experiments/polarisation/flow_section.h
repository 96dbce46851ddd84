// Figures of flows that several experiments draw.
#pragma once

#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/flow/trajectory.h"
#include "polariscope/report/charts.h"

#include <string>
#include <vector>

namespace polariscope::experiments {

enum class Coordinate { kSigma, kScores, kU };

struct CoordinateFigure {
  std::string id = "", title = "";
  std::string caption = "";  // where the lines end is added to it
  Coordinate record = Coordinate::kSigma;
  report::Axis y;
  std::vector<report::ReferenceLine> references = {};
  int row = 0;  // which row of scores, where there are many
  report::Scale time = report::Scale::kLog;
};

// One line per token against time, coloured in the order of u at the start, the winner labelled.
report::Figure coordinate_figure(const flow::Trajectory& trajectory, CoordinateFigure figure);

// The same as one of several panels; id, title and caption are the whole figure's and not looked at.
Multiple coordinate_panel(std::string title, const flow::Trajectory& trajectory, CoordinateFigure figure);

}  // namespace polariscope::experiments
