// How a run is done: how often it is kept, and what it does at an alarm.
#pragma once

#include "polariscope/train/alarms.h"

namespace polariscope {

struct RunOptions {
  double checkpoint_seconds = 60.0;  // between checkpoints
  bool checkpoints = true;
  OnAlarm on_alarm = OnAlarm::kLog;
};

}  // namespace polariscope
