// A sweep over several ranks: shared out, killed in part and as a whole, complete in the end.
#include "../cli/command.h"
#include "polariscope/sweep/export.h"
#include "polariscope/sweep/shard.h"
#include "support/temporary_folder.h"
#include "sweep/sweeps.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDone = "60 done, 0 failed, 0 waiting\n";

// Waits, up to a minute, for something that is bound to happen.
template <class Condition>
bool comes_true(const Condition& condition) {
  for (int look = 0; look < 6000; ++look) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class SweepUnderMpirun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (HAS_MPI == 0) GTEST_SKIP() << "built without MPI";
    if (IS_SANITIZED != 0) GTEST_SKIP() << "built with sanitizers";
    if (Running({"mpirun", "--version"}).wait().code != 0) GTEST_SKIP() << "there is no mpirun";
  }

  std::vector<std::string> mpirun(const std::string& grid, const std::vector<std::string>& options = {}) const {
    write_bytes(folder_.path() / "grid.toml", grid);
    std::vector<std::string> words{"mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "3"};
    words.insert(words.end(), options.begin(), options.end());
    for (const std::string& word :
         polariscope_command({(folder_.path() / "grid.toml").string(), sweep().string(), "1", "1/1", "60"})) {
      words.push_back(word);
    }
    return words;
  }

  // To its end; the ranks of a job that was killed need a moment to let go of the sweep.
  Outcome finish(const std::string& grid) const {
    Outcome outcome;
    comes_true([&] {
      outcome = Running(mpirun(grid)).wait();
      return outcome.err.find("another scheduler is at work") == std::string::npos;
    });
    return outcome;
  }

  fs::path sweep() const { return folder_.path() / "sweep"; }
  bool is_done(int run) const { return fs::exists(sweep::run_path(sweep(), run) / "result.json"); }
  int done() const {
    int count = 0;
    for (int run = 1; run <= 60; ++run) count += is_done(run) ? 1 : 0;
    return count;
  }

  // Processes of ranks above 0 that were seen to execute runs.
  std::set<int> workers() const {
    std::set<int> found;
    for (int run = 1; run <= 60; ++run) {
      const fs::path file = sweep::run_path(sweep(), run) / "parent";
      if (!fs::exists(file)) continue;
      const int process = std::stoi(bytes_of(file));
      const fs::path environment = fs::path("/proc") / std::to_string(process) / "environ";
      if (!fs::exists(environment)) continue;
      if (bytes_of(environment).find(std::string("\0OMPI_COMM_WORLD_RANK=0\0", 24)) == std::string::npos) {
        found.insert(process);
      }
    }
    return found;
  }

  void expect_each_run_once() const {
    const std::string csv = sweep::sweep_as_csv(sweep());
    EXPECT_EQ(std::ranges::count(csv, '\n'), 61);
    for (int run = 1; run <= 60; ++run) {
      EXPECT_NE(csv.find("\n" + std::to_string(run) + ",done,"), std::string::npos) << run;
      EXPECT_FALSE(fs::exists(sweep::run_path(sweep(), run) / "repeated")) << run;
      EXPECT_FALSE(fs::exists(sweep::run_path(sweep(), run) / "beside_itself")) << run;
    }
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(SweepUnderMpirun, IsSharedByTheRanks) {
  const Outcome outcome = Running(mpirun(kSixtyRuns)).wait();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, kDone) << outcome.err;
  expect_each_run_once();
  EXPECT_EQ(sweep::sweep_as_csv(sweep()).find("of MPI"), std::string::npos) << "a run took itself for a rank";
  std::set<std::string> ranks;
  for (int run = 1; run <= 60; ++run) ranks.insert(bytes_of(sweep::run_path(sweep(), run) / "parent"));
  EXPECT_GE(ranks.size(), 2U);
}

TEST_F(SweepUnderMpirun, GoesOnAfterAKillOfTheWholeJob) {
  for (int kill = 1; kill <= 3; ++kill) {
    Running job(mpirun(kSixtyRuns));
    ASSERT_TRUE(comes_true([&] { return done() >= 5 * kill || job.ended(); }));
    job.send(SIGKILL);
    job.wait();
  }
  EXPECT_EQ(finish(kSixtyRuns).out, kDone);
  expect_each_run_once();
}

TEST_F(SweepUnderMpirun, GoesOnAfterARankDied) {
  {
    Running job(mpirun(kSixtyRuns));
    ASSERT_TRUE(comes_true([&] { return !workers().empty(); }));
    ASSERT_EQ(kill(*workers().begin(), SIGKILL), 0);
    EXPECT_NE(job.wait().code, 0);
  }
  EXPECT_EQ(finish(kSixtyRuns).out, kDone);
  expect_each_run_once();
}

TEST_F(SweepUnderMpirun, HandsTheRunsOfADeadRankToOthersWhereMpirunGoesOn) {
  const std::string slow = "milliseconds = 1000\n" + kSixtyRuns.substr(kSixtyRuns.find('\n') + 1);
  Running job(mpirun(slow, {"--enable-recovery"}));
  ASSERT_TRUE(comes_true([&] { return !workers().empty(); }));
  ASSERT_EQ(kill(*workers().begin(), SIGKILL), 0);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.out, kDone) << outcome.err;
  EXPECT_NE(outcome.err.find("is silent"), std::string::npos) << outcome.err;
  expect_each_run_once();
}

TEST_F(SweepUnderMpirun, SaysAUsersMistakeOnceAndEndsAllRanks) {
  ASSERT_EQ(Running(mpirun("seed = 1\n")).wait().code, 0);
  const Outcome outcome = Running(mpirun("seed = 2\n")).wait();
  EXPECT_EQ(outcome.code, 2);
  const std::size_t sentence = outcome.err.find("holds another run");
  EXPECT_NE(sentence, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("holds another run", sentence + 1), std::string::npos) << outcome.err;
}

TEST(SweepWithoutMpi, IsRefusedUnderMpirun) {
  if (HAS_MPI != 0) GTEST_SKIP() << "built with MPI";
  const TemporaryFolder folder;
  write_bytes(folder.path() / "grid.toml", "seed = 1\n");
  Surroundings surroundings;
  surroundings.environment = {"OMPI_COMM_WORLD_SIZE=2"};
  const std::string grid = (folder.path() / "grid.toml").string(), sweep = (folder.path() / "sweep").string();
  const Outcome outcome = Running(polariscope_command({grid, sweep, "1", "1/1", "60"}), surroundings).wait();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("built without MPI"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace polariscope::testing
