#include "polariscope/sweep/local_workers.h"

#include "polariscope/base/file_lock.h"
#include "polariscope/runs/provenance.h"
#include "support/captured_stderr.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace polariscope {
namespace {

namespace fs = std::filesystem;

class LocalWorkersTest : public ::testing::Test {
 protected:
  sweep::Job job(int run, const std::string& behaviour) const {
    return {.run = run,
            .folder = folder_.path() / std::to_string(run),
            .config = "seed = 1\nx = 3.0\nbehaviour = \"" + behaviour + "\"\n"};
  }

  static sweep::RunEnd wait_for_one(sweep::Workers& workers) {
    for (;;) {
      if (const auto ends = workers.ended(); !ends.empty()) return ends.front();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  sweep::RunEnd end_of(const std::string& behaviour, double limit = 60.0) {
    sweep::LocalWorkers workers({.program = {FAKE_TRAIN}, .limit = limit}, 1);
    workers.start(job(++runs_, behaviour));
    return wait_for_one(workers);
  }

  static std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::TemporaryFolder folder_;
  int runs_ = 0;
};

TEST_F(LocalWorkersTest, TellsWhyARunFailed) {
  EXPECT_EQ(end_of("crash").failure, "killed by SIGABRT");
  EXPECT_EQ(end_of("exit").failure, "exit code 3: polariscope: the disk, \"sda\", is \xEF\xBF\xBD full");
  EXPECT_EQ(end_of("nothing").failure, "no result");
  EXPECT_EQ(end_of("nan").failure, "returned NaN or infinity: loss, accuracy, entropy");
  EXPECT_EQ(end_of("broken").failure, "result.json is no JSON object");
  EXPECT_EQ(end_of("list").failure, "result.json has \"heads\", expected plain names with numbers or texts");
  EXPECT_EQ(end_of("hang", 0.3).failure, "ran longer than its limit of 0.3 s");
}

TEST_F(LocalWorkersTest, AProgramThatCannotBeStartedIsAFailureOfTheRun) {
  sweep::LocalWorkers workers({.program = {"/nowhere/polariscope", "train"}}, 1);
  workers.start(job(1, "well"));
  EXPECT_EQ(wait_for_one(workers).failure,
            "exit code 127: cannot start /nowhere/polariscope: No such file or directory");
}

TEST_F(LocalWorkersTest, ReturnsTheResultAndTheTimeItTook) {
  const sweep::RunEnd end = end_of("well");
  EXPECT_EQ(end.failure, "");
  EXPECT_EQ(end.run, 1);
  EXPECT_EQ(end.metrics, R"({"square":9.0,"seed":1,"environment":"plain"})");
  EXPECT_GT(end.seconds, 0.0);
}

TEST_F(LocalWorkersTest, AResultCountsHoweverItsProcessEnds) {
  EXPECT_EQ(end_of("crash after the result").failure, "");
}

TEST_F(LocalWorkersTest, DoesNotExecuteARunThatHasAResult) {
  sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 1);
  for (int attempt = 0; attempt < 2; ++attempt) {
    workers.start(job(1, "well"));
    EXPECT_EQ(wait_for_one(workers).failure, "");
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "1" / "repeated"));
}

TEST_F(LocalWorkersTest, HasAsManyPlacesAsItWasGiven) {
  sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 2);
  EXPECT_TRUE(workers.has_place());
  workers.start(job(1, "well"));
  EXPECT_TRUE(workers.has_place());
  workers.start(job(2, "well"));
  EXPECT_FALSE(workers.has_place());
  wait_for_one(workers);
  EXPECT_TRUE(workers.has_place());
}

TEST_F(LocalWorkersTest, ARunWaitsWhileAProcessOfAnEarlierAttemptLives) {
  fs::create_directories(folder_.path() / "1");
  sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 1);
  {
    const auto orphan = FileLock::take(folder_.path() / "1" / "stderr.txt");
    ASSERT_TRUE(orphan.has_value());
    EXPECT_TRUE(FileLock::is_held(folder_.path() / "1" / "stderr.txt"));
    workers.start(job(1, "well"));
    for (int look = 0; look < 20; ++look) {
      EXPECT_TRUE(workers.ended().empty());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_FALSE(fs::exists(folder_.path() / "1" / "process"));
  }
  EXPECT_EQ(wait_for_one(workers).failure, "");
}

TEST_F(LocalWorkersTest, ItsProcessesHoldTheirRunAndEndWithIt) {
  const fs::path run = folder_.path() / "1";
  {
    sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 1);
    workers.start(job(1, "hang"));
    while (text_of(run / "parent").empty()) workers.ended();
    EXPECT_TRUE(FileLock::is_held(run / "stderr.txt"));
  }
  EXPECT_FALSE(FileLock::is_held(run / "stderr.txt"));
  EXPECT_NE(kill(std::stoi(text_of(run / "process")), 0), 0);
}

TEST_F(LocalWorkersTest, StopEndsWhatRunsAndForgetsIt) {
  sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 1);
  workers.start(job(1, "hang"));
  while (text_of(folder_.path() / "1" / "process").empty()) workers.ended();
  workers.stop();
  EXPECT_TRUE(workers.has_place());
  EXPECT_TRUE(workers.ended().empty());
  EXPECT_NE(kill(std::stoi(text_of(folder_.path() / "1" / "process")), 0), 0);
}

// Its program may be exchanged while it is at work.
class UpgradedProgram : public LocalWorkersTest {
 protected:
  UpgradedProgram() { fs::copy_file(FAKE_TRAIN, program_); }

  fs::path program_ = folder_.path() / "program";
};

TEST_F(UpgradedProgram, GoesOnAsTheOneThatItBeganWithAndSaysSo) {
  sweep::LocalWorkers workers({.program = {program_.string()}}, 1);
  workers.start(job(1, "well"));
  const sweep::RunEnd first = wait_for_one(workers);
  fs::copy_file("/bin/false", folder_.path() / "new");
  fs::rename(folder_.path() / "new", program_);
  testing::CapturedStderr captured(testing::CapturedStderr::To::kFile);
  for (const int run : {2, 3}) {
    workers.start(job(run, "well"));
    const sweep::RunEnd end = wait_for_one(workers);
    EXPECT_EQ(end.failure, "");
    EXPECT_EQ(end.made_by, first.made_by);
  }
  EXPECT_EQ(captured.text(),
            "polariscope: " + program_.string() + " was replaced: this sweep goes on with the program it began with\n");
}

TEST_F(UpgradedProgram, ThatIsOverwrittenEndsTheSweep) {
  sweep::LocalWorkers workers({.program = {program_.string()}}, 1);
  workers.start(job(1, "well"));
  EXPECT_EQ(wait_for_one(workers).failure, "");
  fs::last_write_time(program_, fs::last_write_time(program_) + std::chrono::seconds(5));
  workers.start(job(2, "well"));  // the same bytes
  EXPECT_EQ(wait_for_one(workers).failure, "");
  fs::copy_file("/bin/false", program_, fs::copy_options::overwrite_existing);
  workers.start(job(3, "well"));
  const std::string complaint = testing::complaint_of([&] { wait_for_one(workers); });
  EXPECT_TRUE(complaint.starts_with(program_.string() + ": was overwritten while the sweep ran")) << complaint;
}

TEST_F(LocalWorkersTest, TellsWhatTheRunsOwnRecordSaysOfItsPrograms) {
  runs::Provenance made_by{
      .version = "0.1.0", .commit = "abc1234", .program = "one", .machine = "m", .simd_target = "", .begun = "then"};
  fs::create_directories(folder_.path() / "1");
  runs::record_provenance(folder_.path() / "1", made_by);
  made_by.program = "two";
  made_by.begun = "now";
  runs::record_provenance(folder_.path() / "1", made_by);
  sweep::LocalWorkers workers({.program = {FAKE_TRAIN}}, 1);
  workers.start(job(1, "well"));
  EXPECT_EQ(wait_for_one(workers).made_by,
            R"({"program_version":"0.1.0","program_commit":"abc1234","program":"one + two","machine":"m",)"
            R"("simd_target":"","threads":"1","libtorch":"","begun":"then + now"})");
}

}  // namespace
}  // namespace polariscope
