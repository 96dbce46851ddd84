// How a run is done: how often it is kept, and what it does at an alarm.
#pragma once

#include "polariscope/runs/alarms.h"

namespace polariscope::runs {

struct RunOptions {
  double checkpoint_seconds = 60.0;  // between checkpoints
  bool checkpoints = true;
  OnAlarm on_alarm = OnAlarm::kLog;
};

}  // namespace polariscope::runs
