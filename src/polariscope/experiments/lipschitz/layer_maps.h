// Maps of layer against step: one statistic of one training.
#pragma once

#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <optional>
#include <string>
#include <vector>

namespace polariscope::experiments {

struct LayerStatistic {
  const char* name;   // in the log: "entropy"
  std::string title;  // with symbol and unit
  bool logarithm = false;
  std::optional<double> low = {}, high = {};  // ends of the colour scale
};

// Of the first run of each variant, one panel a variant, on one scale of colours; appended to the section's figures if
// there is a run.
void add_layer_maps(report::Section& section, const std::vector<RunsOfVariant>& variants,
                    const LayerStatistic& statistic, std::string id, const std::string& title, std::string caption);

}  // namespace polariscope::experiments
