#include "polariscope/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>

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

}  // namespace
}  // namespace polariscope
