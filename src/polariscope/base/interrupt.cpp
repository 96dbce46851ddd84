// Ctrl-C as a flag.
#include "polariscope/base/interrupt.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace polariscope {
namespace {

// Any thread may be the one that a signal interrupts, and all read it: sig_atomic_t is safe within one thread alone.
std::atomic<bool> flag = false;
static_assert(std::atomic<bool>::is_always_lock_free);

// The handler's own stack. oneDNN up to 3.11.1 (https://github.com/uxlfoundation/oneDNN/issues/4845) multiplies
// matrices with the stack pointer in the heap, where a signal's frame would lie over others' memory.
alignas(64) std::array<std::byte, 65536> signal_stack;

constexpr std::array kCaught{SIGINT, SIGTERM};

auto handler_of(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

void remember(int) {
  flag = true;
  // Whichever of the two comes next ends the process.
  for (const int signal : kCaught) {
    if (handler_of(signal) == remember) std::signal(signal, SIG_DFL);
  }
}

}  // namespace

void catch_interrupts() {
  const stack_t stack{.ss_sp = signal_stack.data(), .ss_flags = 0, .ss_size = signal_stack.size()};
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_ONSTACK | SA_RESTART;  // a write in progress is finished, not broken off
  for (const int signal : kCaught) {
    if (handler_of(signal) != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

bool interrupted() { return flag; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace polariscope
