// The scheduler as a process of its own that is killed, interrupted, and started again.
#include "../cli/command.h"
#include "polariscope/sweep/export.h"
#include "polariscope/sweep/shard.h"
#include "support/temporary_folder.h"
#include "sweeps.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

class KilledSweep : public ::testing::Test {
 protected:
  // GRID FOLDER JOBS SHARD LIMIT
  std::vector<std::string> scheduler(const std::string& grid, const std::string& name,
                                     const std::string& shard = "1/1") const {
    write_bytes(folder_.path() / "grid.toml", grid);
    return polariscope_command(
        {(folder_.path() / "grid.toml").string(), (folder_.path() / name).string(), "2", shard, "60"});
  }
  fs::path in(const std::string& name) const { return folder_.path() / name; }

 private:
  TemporaryFolder folder_;
};

std::string without_seconds(const std::string& csv) {
  std::string text;
  for (std::string line : lines_of(csv)) {
    // run, state, milliseconds, x, seed, square, result_seed, environment, seconds
    constexpr int kBefore = 8;
    std::size_t seconds = 0;
    for (int comma = 0; comma < kBefore; ++comma) seconds = line.find(',', seconds) + 1;
    text += line.erase(seconds, line.find(',', seconds) - seconds) + "\n";
  }
  return text;
}

// Waits, up to a minute, for something that is bound to happen.
template <class Condition>
bool comes_true(const Condition& condition) {
  for (int look = 0; look < 6000; ++look) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_F(KilledSweep, TenTimesAtRandomMomentsEndsCompleteAndExact) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int kill = 0; kill < 10; ++kill) {
    Running sweep(scheduler(kSixtyRuns, "killed"));
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(0, 150)(random)));
    ASSERT_FALSE(sweep.ended()) << sweep.wait().err;
    sweep.send(SIGKILL);
    EXPECT_EQ(sweep.wait().signal, SIGKILL);
  }
  const Outcome last = Running(scheduler(kSixtyRuns, "killed")).wait();
  EXPECT_EQ(last.out, "60 done, 0 failed, 0 waiting\n") << last.err;
  EXPECT_EQ(Running(scheduler(kSixtyRuns, "whole")).wait().out, "60 done, 0 failed, 0 waiting\n");
  EXPECT_EQ(without_seconds(sweep::sweep_as_csv(in("killed"))), without_seconds(sweep::sweep_as_csv(in("whole"))));
  for (int run = 1; run <= 60; ++run) {
    EXPECT_FALSE(fs::exists(sweep::run_path(in("killed"), run) / "repeated")) << run;
    EXPECT_FALSE(fs::exists(sweep::run_path(in("killed"), run) / "beside_itself")) << run;
  }
}

TEST_F(KilledSweep, TakesItsRunsWithIt) {
  Running sweep(scheduler("behaviour = 'hang'\nseed = [1, 2]\n", "sweep"));
  const auto process = [&](int run) { return sweep::run_path(in("sweep"), run) / "process"; };
  ASSERT_TRUE(comes_true([&] { return fs::exists(process(1)) && fs::exists(process(2)); }));
  sweep.send(SIGKILL);
  sweep.wait();
  for (const int run : {1, 2}) {
    EXPECT_TRUE(comes_true([&] { return kill(std::stoi(bytes_of(process(run))), 0) != 0; }));
  }
}

TEST_F(KilledSweep, AnInterruptStopsItCleanlyAndItGoesOn) {
  Running sweep(scheduler(kSixtyRuns, "sweep"));
  ASSERT_TRUE(comes_true([&] { return fs::exists(in("sweep") / "runs.sqlite") && fs::exists(in("sweep") / "runs"); }));
  sweep.send(SIGINT);
  const Outcome outcome = sweep.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.out.find(" 0 failed"), std::string::npos) << outcome.out;
  const std::string csv = sweep::sweep_as_csv(in("sweep"));
  EXPECT_EQ(csv.find(",running,"), std::string::npos);
  EXPECT_NE(csv.find(",waiting,"), std::string::npos);
  EXPECT_EQ(Running(scheduler(kSixtyRuns, "sweep")).wait().out, "60 done, 0 failed, 0 waiting\n");
}

TEST_F(KilledSweep, ShardsMayBeginAtTheSameMoment) {
  std::vector<std::vector<std::string>> commands;
  for (int index = 1; index <= 6; ++index) {
    commands.push_back(scheduler("seed = { from = 1, to = 12 }\n", "sweep", std::to_string(index) + "/6"));
  }
  std::vector<std::unique_ptr<Running>> shards;
  for (const auto& command : commands) shards.push_back(std::make_unique<Running>(command));
  for (const auto& shard : shards) {
    const Outcome outcome = shard->wait();
    EXPECT_EQ(outcome.out, "2 done, 0 failed, 0 waiting\n") << outcome.err;
  }
  EXPECT_EQ(lines_of(sweep::sweep_as_csv(in("sweep"))).size(), 13U);
}

TEST_F(KilledSweep, ASecondSchedulerIsRefusedWhileTheFirstWorks) {
  Running first(scheduler("behaviour = 'hang'\nseed = 1\n", "sweep"));
  ASSERT_TRUE(comes_true([&] { return fs::exists(sweep::run_path(in("sweep"), 1) / "process"); }));
  const Outcome second = Running(scheduler("behaviour = 'hang'\nseed = 1\n", "sweep")).wait();
  EXPECT_EQ(second.code, 2);
  EXPECT_NE(second.err.find("another scheduler is at work"), std::string::npos) << second.err;
  EXPECT_EQ(lines_of(second.err).size(), 1U) << second.err;
}

}  // namespace
}  // namespace polariscope::testing
