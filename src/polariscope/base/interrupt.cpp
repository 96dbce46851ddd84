// Ctrl-C as a flag.
#include "polariscope/base/interrupt.h"

#include <csignal>

namespace polariscope {
namespace {

volatile std::sig_atomic_t flag = 0;

void remember(int) {
  flag = 1;
  // Whichever of the two comes next ends the process.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // a write in progress is finished, not broken off
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag != 0; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace polariscope
