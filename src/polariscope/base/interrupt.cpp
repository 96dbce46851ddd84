// Ctrl-C as a flag.
#include "polariscope/base/interrupt.h"

#include <array>
#include <csignal>
#include <cstddef>

namespace polariscope {
namespace {

volatile std::sig_atomic_t flag = 0;

// The handler's own stack. oneDNN up to 3.11.1 (https://github.com/uxlfoundation/oneDNN/issues/4845) multiplies
// matrices with the stack pointer in the heap, where a signal's frame would lie over others' memory.
alignas(64) std::array<std::byte, 65536> signal_stack;

void remember(int) {
  flag = 1;
  // Whichever of the two comes next ends the process.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
  const stack_t stack{.ss_sp = signal_stack.data(), .ss_flags = 0, .ss_size = signal_stack.size()};
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_ONSTACK | SA_RESTART;  // a write in progress is finished, not broken off
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag != 0; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace polariscope
