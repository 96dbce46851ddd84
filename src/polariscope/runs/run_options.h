// How a run is done: how often it is kept, what it does at an alarm, and with what.
#pragma once

#include "polariscope/runs/alarms.h"
#include "polariscope/runs/settings.h"

#include <cstdint>
#include <string>

namespace polariscope::runs {

// What a run does at an alarm or a number that is not finite, to come by it: it goes back to a checkpoint from before
// (train/run.h) and takes another course from there. Unlike OnAlarm it changes the run's numbers.
struct RescueOptions {
  enum class By {
    kNothing,
    kLower,  // multiplies the learning rate by `factor`
    kSkip,   // leaves out the batches since, at the same rate (PaLM: Chowdhery et al. 2022, section 5.1)
  };
  By by = By::kNothing;
  double factor = 0.5;
  std::int64_t most = 3;  // rescues of a run; the next alarm ends it

  bool operator==(const RescueOptions&) const = default;
};

struct RunOptions {
  double checkpoint_seconds = 60.0;  // between checkpoints
  bool checkpoints = true;
  OnAlarm on_alarm = OnAlarm::kLog;
  RescueOptions rescue = {};
  int threads = 1;            // that it computes with, and
  std::string libtorch = {};  // LibTorch's version, "" where it needs none: for the provenance
};

RunOptions run_options(const Settings& settings);

}  // namespace polariscope::runs
