#include "polariscope/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace polariscope {
namespace {

// Each in a child process: a signal's flag stays for the rest of a process.
TEST(Interrupt, TheFirstSignalOnlySetsAFlag) {
  const auto first_signal = [] {
    catch_interrupts();
    const bool before = interrupted();
    raise(SIGINT);
    std::_Exit(!before && interrupted() ? 0 : 1);
  };
  EXPECT_EXIT(first_signal(), ::testing::ExitedWithCode(0), "");
}

TEST(Interrupt, TheSecondSignalEndsTheProcessWhicheverOfTheTwoItIs) {
  const auto two_signals = [](int first, int second) {
    catch_interrupts();
    raise(first);
    raise(second);
    std::_Exit(0);
  };
  EXPECT_EXIT(two_signals(SIGINT, SIGINT), ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(two_signals(SIGINT, SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

// A shell starts what it runs in the background so: Ctrl-C is not meant for it.
TEST(Interrupt, ASignalThatIsIgnoredStaysSo) {
  const auto ignored_first = [] {
    signal(SIGINT, SIG_IGN);
    catch_interrupts();
    raise(SIGINT);
    if (interrupted()) std::_Exit(1);
    raise(SIGTERM);
    if (!interrupted()) std::_Exit(2);
    raise(SIGINT);
    std::_Exit(0);
  };
  EXPECT_EXIT(ignored_first(), ::testing::ExitedWithCode(0), "");
}

TEST(Interrupt, StopIfInterruptedThrowsOnlyAfterASignal) {
  const auto stop = [] {
    catch_interrupts();
    stop_if_interrupted();
    raise(SIGTERM);
    try {
      stop_if_interrupted();
    } catch (const Interrupted&) {
      std::_Exit(0);
    }
    std::_Exit(1);
  };
  EXPECT_EXIT(stop(), ::testing::ExitedWithCode(0), "");
}

// Bytes of stack that a raise(SIGINT) writes to.
std::ptrdiff_t stack_of_a_signal() {
  std::vector<char> stack(1 << 17, 'x');
  ucontext_t here, there;
  getcontext(&there);
  there.uc_stack.ss_sp = stack.data();
  there.uc_stack.ss_size = stack.size();
  there.uc_link = &here;
  makecontext(
      &there, +[] { raise(SIGINT); }, 0);
  swapcontext(&here, &there);
  return stack.end() - std::ranges::find_if(stack, [](char byte) { return byte != 'x'; });
}

// What a library keeps below its stack pointer stays whole: a frame holds the processor's registers, 936 bytes and
// more.
TEST(Interrupt, WritesNothingOnTheStackOfWhatItInterrupts) {
  const auto compare = [] {
    signal(SIGINT, SIG_IGN);
    const std::ptrdiff_t ignored = stack_of_a_signal();
    signal(SIGINT, SIG_DFL);
    catch_interrupts();
    const std::ptrdiff_t caught = stack_of_a_signal();
    std::_Exit(interrupted() && caught < ignored + 500 ? 0 : 1);
  };
  EXPECT_EXIT(compare(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace polariscope
