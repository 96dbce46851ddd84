// How often a run is kept.
#pragma once

namespace polariscope {

struct RunOptions {
  double checkpoint_seconds = 60.0;  // between checkpoints
  bool checkpoints = true;
};

}  // namespace polariscope
