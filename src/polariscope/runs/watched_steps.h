// A training once more through a detector, from its log: what other thresholds would have said of it.
#pragma once

#include "polariscope/runs/collapse_detector.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace polariscope::runs {

// A step of a metrics.jsonl as a detector reads it; NaN where it has no finite number.
struct WatchedStep {
  std::int64_t step = 0;
  double loss = 0.0, gradient_norm = 0.0;
  std::vector<HeadReading> readings;  // [layers, heads]
};
// Calls visit with one step after another, until it returns false. Throws Error for a file that cannot be read and a
// line that is no step of a training with attention.
void for_each_watched_step(const std::filesystem::path& metrics, const std::function<bool(const WatchedStep&)>& visit);
// All of them.
std::vector<WatchedStep> read_watched_steps(const std::filesystem::path& metrics);

// What a detector says to a whole training.
std::vector<Alarm> alarms_of(std::span<const WatchedStep> steps, const MapShape& shape,
                             const AlarmThresholds& thresholds = {});

}  // namespace polariscope::runs
