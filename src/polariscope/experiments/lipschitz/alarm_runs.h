// Trainings as the alarms saw them: what was said, when the loss showed it, and whether the training exploded.
#pragma once

#include "polariscope/experiments/shared/trained_runs.h"
#include "polariscope/runs/watched_steps.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace polariscope::experiments {

struct AlarmRun {
  TrainedRun run;
  std::vector<runs::WatchedStep> steps;
  runs::MapShape shape;
  bool exploded = false;                // a loss or gradient was not finite
  std::int64_t shown = 0;               // the first step at which the loss shows it, see shown_step(); 0: never
  std::optional<runs::Alarm> alarm;     // the first
  std::optional<runs::Alarm> collapse;  // the first of that kind

  bool announced() const { return exploded && alarm && alarm->step < end(); }
  bool before_loss() const { return announced() && alarm->step < shown; }
  // Of an exploded training: the step that was not finite.
  std::int64_t end() const { return steps.empty() ? 0 : steps.back().step; }
  std::string form() const;  // "residual", "plain, rms"
};

// The first step, after five, whose loss is above kShownFactor times the median of all losses before it, or not finite.
constexpr double kShownFactor = 2.0;
std::int64_t shown_step(const std::vector<runs::WatchedStep>& steps);

// The trainings that left a log, each with what a detector of the default thresholds says to it.
std::vector<AlarmRun> alarm_runs(const TrainedRuns& runs);

// Of all runs together.
struct AlarmCounts {
  long long exploded = 0, announced = 0, before_loss = 0, others = 0, false_alarms = 0;

  double recall() const;  // announced of exploded
  double recall_before_loss() const;
  double precision() const;  // exploded of those with an alarm
};
AlarmCounts counts_of(const std::vector<AlarmRun>& runs);
// The same with other thresholds.
AlarmCounts counts_with(const std::vector<AlarmRun>& runs, const runs::AlarmThresholds& thresholds);

}  // namespace polariscope::experiments
