// The alarms of a run: alarms.jsonl, a JSON object an alarm, and the sentence on the terminal.
#pragma once

#include "polariscope/base/appended_file.h"
#include "polariscope/base/progress.h"
#include "polariscope/runs/collapse_detector.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace polariscope::runs {

// What a run does at an alarm, besides telling it.
enum class OnAlarm {
  kLog,
  kCheckpoint,  // keeps its state in checkpoint/alarm-STEP.safetensors
  kStop,        // ends with its checkpoint and a result that says why
};
// "log", "checkpoint", "stop". Throws Error with the nearest known name.
OnAlarm find_on_alarm(std::string_view name);

class Alarms {
 public:
  // Takes up the run in `folder` after last_step: what its metrics.jsonl tells of the steps until then is watched
  // again, so that detector and alarms.jsonl are what they would be had nothing stopped the run. 0 begins anew. Throws
  // Error for files that cannot be read or written.
  Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step);
  // The same from the state() that a checkpoint of last_step kept, without reading what was logged: alarms.jsonl is cut
  // after its last line of a step up to last_step.
  Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step,
         std::span<const double> state);

  // Whether the step gave an alarm, which then is logged and told above `progress`.
  bool step(std::int64_t step, double gradient_norm, std::span<const HeadReading> readings, Progress& progress);
  void flush() { file_.flush(); }
  // All that the alarms of later steps depend on, after the last step(): for the checkpoint.
  std::vector<double> state() const;

  std::int64_t count() const { return count_; }
  std::int64_t first_step() const { return first_step_; }  // of the first alarm; 0 before

 private:
  void log(const Alarm& alarm);

  CollapseDetector detector_;
  AppendedFile file_;
  std::int64_t count_ = 0, first_step_ = 0;
};

}  // namespace polariscope::runs
