// One panel a layer: a statistic of the log over training, one line an attention.
#pragma once

#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <limits>
#include <vector>

namespace polariscope::experiments {

// statistic: of the log, "entropy"; what is above `most` is drawn there. ▼ where the detector told of a collapse of the
// layer. At least one panel.
std::vector<Multiple> layer_panels(const std::vector<RunsOfVariant>& variants, const char* statistic,
                                   const report::Axis& y, const std::vector<report::ReferenceLine>& references,
                                   double most = std::numeric_limits<double>::infinity());

// The largest number of layers of any run.
int layers_of(const std::vector<RunsOfVariant>& variants);

// What the ▼ of these figures is, for a caption.
inline constexpr const char* kMarkInWords =
    "▼: the median step at which the collapse detector (docs/alarms.md) told of the layer, where at least half of the "
    "runs have one.";

}  // namespace polariscope::experiments
