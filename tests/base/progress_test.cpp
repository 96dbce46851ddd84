#include "polariscope/base/progress.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "support/captured_stderr.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <vector>

namespace polariscope {
namespace {

using testing::CapturedStderr;
using testing::screen_after;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class ProgressOnATerminal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CapturedStderr::has_terminal()) GTEST_SKIP() << "this system gives no pseudo-terminal";
  }
};

constexpr std::chrono::milliseconds kNoPatience{0};  // every task has run for long enough to speak of

void wait_for_a_redraw() { std::this_thread::sleep_for(std::chrono::milliseconds(120)); }

TEST(Progress, IsSparseWhenPiped) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    Progress task = board.start("A.fig2", 300'000, "steps");
    for (std::uint64_t i = 0; i < 300'000; ++i) task.update(i, "loss 0.1");
    task.finish("loss 0.01");
  }
  const auto lines = lines_of(piped.text());
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], "A.fig2: started, 300k steps");
  EXPECT_TRUE(lines[1].starts_with("A.fig2: done in ")) << lines[1];
  EXPECT_TRUE(lines[1].ends_with(", loss 0.01")) << lines[1];
}

TEST(Progress, SaysALineAtOnceUnlessQuiet) {
  for (const auto mode : {ProgressBoard::Mode::kAuto, ProgressBoard::Mode::kQuiet}) {
    CapturedStderr piped(CapturedStderr::To::kFile);
    ProgressBoard board(mode);
    Progress task = board.start("run", 10, "steps");
    task.say("step 3: collapse");
    Progress().say("to nobody");
    EXPECT_EQ(piped.text(), mode == ProgressBoard::Mode::kQuiet ? "" : "run: step 3: collapse\n");
  }
}

TEST_F(ProgressOnATerminal, SaysALineAboveTheBars) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  ProgressBoard board;
  Progress task = board.start("run", 10, "steps");
  task.say("step 3: collapse");
  const auto lines = lines_of(screen_after(terminal.text()));
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(lines[0], "run: step 3: collapse");
  EXPECT_TRUE(lines[1].starts_with("run ")) << lines[1];
}

TEST(Progress, SaysNothingOfAShortTaskWhenPiped) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board;
    Progress task = board.start("A.fig2", 300'000, "steps");
    for (std::uint64_t i = 0; i < 300'000; ++i) task.update(i, "loss 0.1");
    task.finish("loss 0.01");
  }
  EXPECT_EQ(piped.text(), "");
}

TEST(Progress, HoldsTheFirstLineBackUntilATaskHasRunForAWhileWhenPiped) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, std::chrono::milliseconds(300));
    Progress task = board.start("long", 10, "steps");
    Progress silent = board.start("silent", 10, "steps");
    task.update(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(350));
    task.update(2);
    Progress late = board.start("late", 10, "steps");
    late.finish();
    silent.finish();  // long enough to be worth its last line, though nothing was heard of it before
    task.finish();
  }
  const auto lines = lines_of(piped.text());
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "long: started, 10 steps");
  EXPECT_TRUE(lines[1].starts_with("silent: done in ")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("long: done in ")) << lines[2];
}

TEST(Progress, NeedsNoUnit) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    const Progress task = board.start("flow", 1000, "");
  }
  EXPECT_EQ(piped.text(), "flow: started\n");
}

TEST(Progress, UsesNoControlSequencesWhenPiped) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    Progress first = board.start("one", 0, "steps");
    Progress dropped = board.start("two", 10, "steps");
    first.finish();
  }
  EXPECT_EQ(piped.text().find('\x1b'), std::string::npos);
}

TEST_F(ProgressOnATerminal, UsesNoControlSequencesOnADumbOne) {
  const char* before = std::getenv("TERM");
  const std::string kept = before == nullptr ? "xterm" : before;
  setenv("TERM", "dumb", 1);
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    Progress task = board.start("flow", 1000, "steps");
    wait_for_a_redraw();
    task.update(10);
    task.say("half way");
    task.finish();
  }
  const std::string text = terminal.text();
  setenv("TERM", kept.c_str(), 1);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_TRUE(text.starts_with("flow: started, 1k steps\nflow: half way\nflow: done in ")) << text;
}

// A task half way, as a terminal of so many columns shows it; "" if it shows more than a line.
std::string line_half_way(unsigned short columns) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
  {
    ProgressBoard board;
    Progress task = board.start("A.fig2", 1000, "steps");
    wait_for_a_redraw();
    task.update(500, "entropy 0.42");
  }
  // The end of the task clears its line: what stood before that is looked at.
  std::string output = terminal.text();
  output.resize(output.rfind("\x1b[1A\x1b[J"));
  const auto lines = lines_of(screen_after(output));
  return lines.size() == 1 ? lines[0] : "";
}

TEST_F(ProgressOnATerminal, DrawsBarShareRateTimeLeftAndNoteInPlace) {
  const std::string line = line_half_way(120);
  EXPECT_TRUE(line.starts_with("A.fig2 ")) << line;
  for (const char* part : {"██████████░░░░░░░░░░", "50%", "steps/s", " left", "entropy 0.42"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " is not in: " << line;
  }
}

TEST_F(ProgressOnATerminal, TheBarGivesWayToTheNote) {
  const std::string line = line_half_way(80);
  EXPECT_NE(line.find("entropy 0.42"), std::string::npos) << line;
  EXPECT_NE(line.find("█░"), std::string::npos) << line;
  EXPECT_EQ(line.find("██████████░░░░░░░░░░"), std::string::npos) << line;
}

TEST_F(ProgressOnATerminal, TakesNoRateFromWhatWasDoneEarlier) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board;
    Progress task = board.start("sweep", 1000, "runs", 500);
    wait_for_a_redraw();
    task.update(500);
  }
  const std::string output = terminal.text();
  EXPECT_NE(output.find(" 50%"), std::string::npos) << output;
  EXPECT_EQ(output.find(" left"), std::string::npos) << output;
}

TEST_F(ProgressOnATerminal, LeavesOnlyFinishedLines) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    Progress first = board.start("first", 10, "steps");
    Progress second = board.start("second", 10, "steps");
    { const Progress abandoned = board.start("abandoned", 10, "steps"); }
    wait_for_a_redraw();
    second.update(3);
    first.finish("entropy 0.1");
    wait_for_a_redraw();
    second.update(7);
  }
  const auto lines = lines_of(screen_after(terminal.text()));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("first: done in ")) << lines[0];
}

TEST_F(ProgressOnATerminal, LeavesNothingOfAShortTask) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board;
    board.start("short", 10, "steps").finish("entropy 0.1");
  }
  EXPECT_EQ(screen_after(terminal.text()), "");
}

TEST_F(ProgressOnATerminal, DrawsNoMoreLinesThanItHas) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board;
    std::vector<Progress> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(board.start("task", 0, "steps"));
  }
  const std::string output = terminal.text();
  EXPECT_NE(output.find("\x1b[39A"), std::string::npos);  // the terminal has 40 rows
  EXPECT_EQ(output.find("\x1b[40A"), std::string::npos);
}

TEST_F(ProgressOnATerminal, CutsLinesToItsWidth) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board;
    Progress task = board.start("long", 10, "steps");
    wait_for_a_redraw();
    std::string note;
    for (int i = 0; i < 200; ++i) note += "σ";
    task.update(5, note);
  }
  for (const std::string& line : lines_of(terminal.text())) EXPECT_LT(display_width(line), 100 + 6) << line;
}

TEST_F(ProgressOnATerminal, IsSilentWhenQuietOrWithoutABoard) {
  CapturedStderr terminal(CapturedStderr::To::kTerminal);
  {
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    Progress task = board.start("quiet", 10, "steps");
    EXPECT_TRUE(task.active());
    task.update(5);
    task.finish("done");
    EXPECT_FALSE(task.active());
  }
  Progress nobody;
  nobody.update(1);
  nobody.finish();
  EXPECT_FALSE(nobody.active());
  EXPECT_EQ(terminal.text(), "");
}

TEST(Progress, MayOutliveItsBoard) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  Progress task;
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    task = board.start("late", 10, "steps");
  }
  task.update(5);
  task.finish();
  EXPECT_EQ(lines_of(piped.text()).size(), 1U);
}

TEST(Progress, TakesUpdatesFromManyThreads) {
  CapturedStderr piped(CapturedStderr::To::kFile);
  {
    ProgressBoard board(ProgressBoard::Mode::kAuto, kNoPatience);
    Progress shared = board.start("shared", 4000, "steps");
    parallel_for(8, 4, [&](std::int64_t i) {
      Progress own = board.start("own", 500, "steps");
      for (std::uint64_t step = 0; step < 500; ++step) {
        own.update(step, "note");
        shared.update(static_cast<std::uint64_t>(i) * 500 + step, "note");
      }
      own.finish();
    });
    shared.finish();
  }
  EXPECT_EQ(lines_of(piped.text()).size(), 18U);
}

}  // namespace
}  // namespace polariscope
