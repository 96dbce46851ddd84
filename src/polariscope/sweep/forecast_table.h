// What a forecast says, for people and for programs.
#pragma once

#include "polariscope/sweep/forecast.h"

#include <span>
#include <string>

namespace polariscope::sweep {

struct RunForecast {
  ForecastRun run;
  double probability = 0.0;
};

// A row a run, if there are any; then what the forecast was fitted on, how good it is on seeds that it was not, and
// what it rests on.
std::string forecasts_in_words(const ForecastFit& fit, std::span<const RunForecast> forecasts);

// {"forecasts": [{"run", "seed", "probability", "outcome"}], "fit": {"runs", "collapsed", "seeds", "weights", ...},
// "held_out": {"brier", "base_brier", "auc", "calibration", ...}}
std::string forecasts_as_json(const ForecastFit& fit, std::span<const RunForecast> forecasts);

}  // namespace polariscope::sweep
