// Several charts side by side as one figure with one table.
#pragma once

#include "polariscope/report/charts.h"

#include <span>
#include <string>

namespace polariscope::experiments {

struct Multiple {
  std::string title;
  nlohmann::json spec;
  report::Table table;
};

Multiple panel(std::string title, const report::SeriesChart& chart);

struct MultiplesFigure {
  std::string id, title, caption, alternative;
  int columns = 3;
  bool share_x = true;  // panels over the same time are brushed together
};

// The table has the panels' tables one below the other, with a first column saying which panel a row is of;
// a panel without a column that another has leaves it empty.
report::Figure multiples_figure(MultiplesFigure figure, std::span<const Multiple> multiples);

}  // namespace polariscope::experiments
