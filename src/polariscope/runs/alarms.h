// The alarms of a run: alarms.jsonl, a JSON object an alarm, and the sentence on the terminal.
#pragma once

#include "polariscope/base/appended_file.h"
#include "polariscope/base/progress.h"
#include "polariscope/runs/collapse_detector.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::runs {

// What a run does at an alarm, besides telling it.
enum class OnAlarm {
  kLog,
  kCheckpoint,  // keeps its state in checkpoint/alarm-STEP.safetensors
  kStop,        // ends with its checkpoint and a result that says why
  kRescue,      // nothing more: its RescueOptions (runs/run_options.h) say that it is rescued
};
// "log", "checkpoint", "stop", "rescue". Throws Error with the nearest known name.
OnAlarm find_on_alarm(std::string_view name);

// A run that went back to before what an alarm, or a number that is not finite, told.
struct Rescue {
  std::int64_t step = 0, back_to = 0;
  std::int64_t number = 1, most = 1;  // of the run's rescues, from 1
  double rate = 1.0;                  // share of its scheduled learning rate from here on
  std::int64_t skipped = 0;           // batches that it leaves out
};
std::string in_words(const Rescue& rescue);  // one sentence, without step

class Alarms {
 public:
  // Takes up the run in `folder` after last_step: what its metrics.jsonl tells of the steps until then is watched
  // again, so that detector and alarms.jsonl are what they would be had nothing stopped the run. 0 begins anew. Throws
  // Error for files that cannot be read or written.
  Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step);
  // The same from the state() that a checkpoint kept after so many rescues, without reading what was logged:
  // alarms.jsonl keeps its first lines, one for each alarm and rescue until then.
  Alarms(const std::filesystem::path& folder, const MapShape& shape, std::span<const double> state,
         std::int64_t rescues);

  // Whether the step gave an alarm, which then is logged and told above `progress`.
  bool step(std::int64_t step, double gradient_norm, std::span<const HeadReading> readings, Progress& progress);
  // Logs and tells a rescue, and watches on from the state() of the step that it goes back to: what was told stays.
  void go_back(const Rescue& rescue, std::span<const double> state, Progress& progress);
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
