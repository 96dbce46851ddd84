// What a person sees: widths, colours, progress, and clean streams for whoever reads them by program.
#include "command.h"
#include "support/captured_stderr.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>

namespace polariscope::testing {
namespace {

using Words = std::vector<std::string>;

constexpr int kWidest = 100;
constexpr const char* kEscape = "\x1b";

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Tables, AreAtMostAHundredColumnsWide) {
  const std::vector<Words> commands{
      {"list", "experiments"},
      {"list", "reweightings"},
      {"list", "attentions"},
      {"list", "checks"},
      {"flow", "--steps", "100"},
      {"flow", "--steps", "1e4", "--check"},
      {"flow", "--steps", "100", "--dim", "30", "--check"},
      {"flow", "--model", "reduced", "--steps", "100", "--check"},
      {"flow", "--model", "rows", "--steps", "100", "--check"},
      {"flow", "--model", "linear", "--loss", "square", "--steps", "100", "--check"},
      {"flow", "--method", "flow", "--until", "1e299", "--check"},
      {"flow", "--trajectories", "50", "--steps", "100", "--check"},
      {"flow", "--reweighting", "identity/max1", "--loss", "least-squares", "--method", "flow", "--until",
       "123456.789"},
  };
  for (const Words& command : commands) {
    const Outcome outcome = polariscope_run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GE(lines_of(outcome.out).size(), 2U);
    for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), kWidest) << line;
  }
}

TEST(Tables, OfReweightingsHaveARowForEachAndNoBrokenWord) {
  const Outcome outcome = polariscope_run({"list", "reweightings"});
  for (const char* word : {"softmax1", "identity/max1", "Lipschitz", "monotone", "positive"}) {
    EXPECT_TRUE(holds(outcome.out, word)) << word << "\n" << outcome.out;
  }
}

TEST(Summary, TellsAWeightNearOneByWhatItLacks) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "arrays.json", R"({"a": [20, 0], "V": [[1, 0], [0, 1]], "beta": [1, 0]})");
  Surroundings surroundings;
  surroundings.folder = folder.path();
  const Outcome outcome = polariscope_run({"flow", "--init", "arrays.json", "--steps", "1"}, surroundings);
  EXPECT_TRUE(holds(outcome.out, "0.9999999979")) << outcome.out;  // 1 - e^-20
}

TEST(Streams, ASummaryIsCleanWhenPiped) {
  const Outcome outcome = polariscope_run({"flow", "--steps", "1e4", "--check"});
  EXPECT_EQ(outcome.err, "") << "a short run has no progress to speak of";
  EXPECT_FALSE(holds(outcome.out, kEscape));
  EXPECT_TRUE(holds(outcome.out, "✓ holds"));
}

// A run that takes longer than the two seconds before a piped run speaks, stopped after `seconds`.
Outcome long_run_stopped_after(double seconds, const Words& more) {
  Words arguments{"flow", "--steps", "1e12"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Running running(polariscope_command(arguments));
  usleep(static_cast<useconds_t>(seconds * 1e6));
  running.send(SIGINT);
  return running.wait();
}

TEST(Streams, ALongRunReportsItsProgressOnStandardErrorAlone) {
  const Outcome outcome = long_run_stopped_after(2.6, {});
  EXPECT_EQ(outcome.code, 130);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "descent: started, 1e+03G steps\npolariscope: interrupted\n");
}

TEST(Streams, QuietAndJsonRunsReportNoProgress) {
  for (const char* option : {"--quiet", "--json"}) {
    const Outcome outcome = long_run_stopped_after(2.6, {option});
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "polariscope: interrupted\n") << option;
  }
}

TEST(Streams, AClosedPipeIsNoReasonToSpeak) {
  const std::string command = std::string(POLARISCOPE_BINARY) + " list reweightings --markdown | head -c 1";
  const Outcome outcome = Running({"sh", "-c", command}).wait();
  EXPECT_EQ(outcome.out, "|");
  EXPECT_EQ(outcome.err, "");
}

// /dev/full takes no byte: what was to be said is lost, and nothing else.
TEST(Streams, AStandardErrorThatTakesNothingChangesNothing) {
  const auto run = [](Words arguments) {
    Words command{"/bin/sh", "-c", "exec \"$@\" 2> /dev/full", "sh"};
    for (const std::string& word : polariscope_command(std::move(arguments))) command.push_back(word);
    return command;
  };
  EXPECT_EQ(Running(run({"flwo"})).wait().code, 2);
  EXPECT_EQ(Running(run({"flow", "--steps", "100", "--json"})).wait().out,
            polariscope_run({"flow", "--steps", "100", "--json"}).out);
  Running stopped(run({"flow", "--steps", "1e12"}));
  usleep(500'000);
  stopped.send(SIGINT);
  EXPECT_EQ(stopped.wait().code, 130);
}

// As `2>&1 | tee log` is to a training, when tee has ended.
TEST(Streams, AStandardErrorThatNobodyReadsChangesNothing) {
  const std::string program = POLARISCOPE_BINARY;
  const Outcome outcome =
      Running({"sh", "-c", "exec 3>&1; { sleep 0.3; " + program + " flwo; echo $? >&3; } 2>&1 | true"}).wait();
  EXPECT_EQ(outcome.out, "2\n");
}

class OnATerminal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CapturedStderr::has_terminal()) GTEST_SKIP() << "this system gives no pseudo-terminal";
    surroundings_.terminal = true;
  }
  Surroundings surroundings_;
};

TEST_F(OnATerminal, VerdictsAreColouredUnlessNoColorSaysNo) {
  const Words command{"flow", "--steps", "1e3", "--check", "--quiet"};
  EXPECT_TRUE(holds(polariscope_run(command, surroundings_).out, "\x1b[32m✓ holds\x1b[0m"));
  for (const char* setting : {"NO_COLOR=1", "TERM=dumb"}) {
    surroundings_.environment = {setting};
    const Outcome outcome = polariscope_run(command, surroundings_);
    EXPECT_FALSE(holds(outcome.out, kEscape)) << setting << "\n" << outcome.out;
    EXPECT_TRUE(holds(outcome.out, "✓ holds"));
  }
}

TEST_F(OnATerminal, ProgressLeavesOnlyTheResultOnTheScreen) {
  surroundings_.environment = {"NO_COLOR=1"};
  const Outcome outcome = polariscope_run({"flow", "--steps", "1e5"}, surroundings_);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(screen_after(outcome.out).starts_with("value-softmax · logistic")) << screen_after(outcome.out);
}

// Descents of more and more steps, until one runs for longer than a task that says nothing.
TEST(Progress, OfALongRunIntoAFileHasAFirstAndALastLine) {
  using Clock = std::chrono::steady_clock;
  for (double steps = 1e8;; steps *= 4) {
    const Clock::time_point start = Clock::now();
    const Outcome outcome = polariscope_run({"flow", "--steps", std::to_string(steps)});
    if (Clock::now() - start < std::chrono::milliseconds(2500)) continue;
    const Words lines = lines_of(outcome.err);
    ASSERT_GE(lines.size(), 2U) << outcome.err;
    EXPECT_TRUE(lines.front().starts_with("descent: started, ")) << outcome.err;
    EXPECT_TRUE(lines.back().starts_with("descent: done in ")) << outcome.err;
    EXPECT_TRUE(holds(lines.back(), ", loss ")) << outcome.err;
    return;
  }
}

TEST_F(OnATerminal, JsonStaysOneObjectThere) {
  const Outcome outcome = polariscope_run({"flow", "--steps", "1e5", "--json"}, surroundings_);
  EXPECT_TRUE(outcome.out.starts_with("{") && outcome.out.ends_with("}\n")) << outcome.out.substr(0, 200);
}

TEST(Help, OfEveryCommandExplainsItselfAndGivesExamples) {
  for (const Words& command : {Words{"--help"}, {"flow", "--help"}, {"list", "--help"}, {"reproduce", "--help"}}) {
    const Outcome outcome = polariscope_run(command);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* part : {"Usage: polariscope", "Examples:\n  polariscope ", "--help"}) {
      EXPECT_TRUE(holds(outcome.out, part)) << part << "\n" << outcome.out;
    }
    for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), kWidest) << line;
  }
  EXPECT_TRUE(polariscope_run({"--version"}).out.starts_with("polariscope "));
}

}  // namespace
}  // namespace polariscope::testing
