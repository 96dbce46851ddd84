// How many runs are in which state.
#pragma once

namespace polariscope::sweep {

struct Tally {
  int waiting = 0, running = 0, done = 0, failed = 0;

  int runs() const { return waiting + running + done + failed; }
};

}  // namespace polariscope::sweep
