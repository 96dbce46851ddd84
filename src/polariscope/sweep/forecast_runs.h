// Runs as a forecast of collapse takes them: what their first tenth says, and how they ended.
#pragma once

#include "polariscope/runs/early_signs.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::sweep {

enum class RunOutcome {
  kUnknown,    // it has not ended
  kHeld,       // without an alarm and with finite numbers
  kCollapsed,  // with either, behind its first tenth
  kEarly,      // collapsed within its first tenth, or went back there: nothing is left to forecast
};
std::string_view outcome_name(RunOutcome outcome);  // "", "held", "collapsed", "collapsed early"

struct ForecastRun {
  std::filesystem::path folder;
  std::int64_t seed = 0, window = 0;  // window: a tenth of the steps that it is to take
  std::int64_t read = 0;              // steps of the window that its log has
  runs::EarlySigns signs = {};        // where all of it is there
  RunOutcome outcome = RunOutcome::kUnknown;

  bool has_signs() const { return read == window && window >= static_cast<std::int64_t>(runs::kFewestEarlySteps); }
};

// `place` itself if it is a run's folder, or else the runs up to three folders below, in the order of their names.
// Throws Error where there is none.
std::vector<std::filesystem::path> runs_at(const std::filesystem::path& place);

// Reads no more of its log than the first tenth. Throws Error for a config.toml that is no training's, and a log or a
// result.json that is not as trainings write it.
ForecastRun read_forecast_run(const std::filesystem::path& folder);

}  // namespace polariscope::sweep
