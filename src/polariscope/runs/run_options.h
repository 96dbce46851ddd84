// How a run is done: how often it is kept, what it does at an alarm, and with what.
#pragma once

#include "polariscope/runs/alarms.h"
#include "polariscope/runs/settings.h"

#include <string>

namespace polariscope::runs {

struct RunOptions {
  double checkpoint_seconds = 60.0;  // between checkpoints
  bool checkpoints = true;
  OnAlarm on_alarm = OnAlarm::kLog;
  int threads = 1;            // that it computes with, and
  std::string libtorch = {};  // LibTorch's version, "" where it needs none: for the provenance
};

RunOptions run_options(const Settings& settings);

}  // namespace polariscope::runs
