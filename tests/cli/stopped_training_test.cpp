// Trainings that are stopped, killed, out of disk or given another's files: they end with the same bits, or say why
// not.
#include "polariscope/base/random.h"
#include "short_training.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// A run long enough to be killed in its middle, and what it is when nobody does.
class StoppedRun : public ::testing::Test {
 protected:
  Words words(const fs::path& folder) const {
    return train({"--out", folder.string(), "--checkpoint-every", "0.05"}, "40");
  }
  fs::path whole() {
    const fs::path path = folder_.path() / "whole";
    expect_done(words(path));
    return path;
  }
  const fs::path& folder() const { return folder_.path(); }
  const std::uint64_t seed_ = std::random_device()();
  const ::testing::ScopedTrace seed_of_failures_{__FILE__, __LINE__, fmt::format("seed {}", seed_)};
  RandomStream random_{seed_, 0};

  // Once it has written a checkpoint, and then some.
  void stop_somewhere(const fs::path& run, int signal, Running& process) {
    const fs::path checkpoint = run / "checkpoint" / "last.safetensors";
    const auto written = [&] {
      return fs::exists(checkpoint) ? fs::last_write_time(checkpoint) : fs::file_time_type();
    };
    for (const auto before = written(); written() == before && !process.ended();) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(250)));
    if (!process.ended()) process.send(signal);
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(StoppedRun, ThatWasKilledAtAnyMomentEndsWithTheSameBits) {
  const fs::path expected = whole(), run = folder() / "run";
  int kills = 0;
  for (int i = 0; i < 8 && !fs::exists(run / "result.json"); ++i) {
    Running process(polariscope_command(words(run)));
    if (i == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(400)));  // before a checkpoint, too
      process.send(SIGKILL);
    } else {
      stop_somewhere(run, SIGKILL, process);
    }
    kills += process.wait().signal == SIGKILL;
  }
  EXPECT_GT(kills, 0);
  expect_done(words(run));
  expect_same_run(expected, run);
  expect_no_temporary_files(run);
}

TEST_F(StoppedRun, ThatWasInterruptedSays130AndGoesOn) {
  const fs::path expected = whole(), run = folder() / "run";
  for (const int signal : {SIGINT, SIGTERM}) {
    Running process(polariscope_command(words(run)));
    stop_somewhere(run, signal, process);
    const Outcome outcome = process.wait();
    if (fs::exists(run / "result.json")) break;  // it was faster
    EXPECT_EQ(outcome.code, 130) << outcome.err;
    EXPECT_EQ(outcome.err, "polariscope: interrupted\n");
  }
  expect_done(words(run));
  expect_same_run(expected, run);
}

TEST_F(StoppedRun, GivesItsFolderToNoSecondProcessUntilItEnds) {
  const fs::path expected = whole(), run = folder() / "run";
  Running first(polariscope_command(words(run)));
  while (!fs::exists(run / "metrics.jsonl") && !first.ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ASSERT_FALSE(first.ended());
  // By the same command, and by that which goes on with a folder's own settings.
  for (const Words& again : {words(run), Words{"train", (run / "config.toml").string(), "--out", run.string()}}) {
    const Outcome second = Running(polariscope_command(again)).wait();
    EXPECT_EQ(second.code, 2) << second.out;
    EXPECT_EQ(lines_of(second.err).size(), 1U) << second.err;
    for (const std::string& word : {run.string(), std::string("process "), std::string("is at work on this run")}) {
      EXPECT_NE(second.err.find(word), std::string::npos) << second.err;
    }
  }
  EXPECT_EQ(first.wait().code, 0);
  expect_same_run(expected, run);
  EXPECT_FALSE(fs::exists(run / ".lock"));
}

TEST_F(StoppedRun, ThatWasKilledBetweenItsLastStepAndItsResultKnowsItsLoss) {
  const fs::path expected = whole(), run = folder() / "run";
  fs::copy(expected, run, fs::copy_options::recursive);
  for (const char* name : {"result.json", "heads.json", "attention.npy"}) fs::remove(run / name);
  expect_done(words(run));
  expect_same_run(expected, run);
}

TEST_F(StoppedRun, WithADamagedCheckpointIsRefusedAndLeftAsItIs) {
  const fs::path expected = whole(), checkpoint = expected / "checkpoint" / "last.safetensors";
  fs::remove(expected / "result.json");
  const std::string good = bytes_of(checkpoint);
  for (const std::string& bytes : {good.substr(0, good.size() / 2), std::string("no tensors"), std::string()}) {
    write_bytes(checkpoint, bytes);
    expect_refused_in(folder(), words(expected), {"last.safetensors"});
  }
}

TEST(StoppedTraining, RefusesACheckpointThatIsNotOfItsSettings) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run", other = folder.path() / "other";
  const fs::path checkpoint = fs::path("checkpoint") / "last.safetensors";
  for (const auto& [path, seed] : {std::pair{run, "0"}, std::pair{other, "1"}}) {
    expect_done(train({"--seed", seed, "--out", path.string()}));
    fs::remove(path / "result.json");
  }
  // Another run's.
  const std::string own = bytes_of(run / checkpoint);
  fs::copy_file(other / checkpoint, run / checkpoint, fs::copy_options::overwrite_existing);
  expect_refused_in(folder.path(), train({"--seed", "0", "--out", run.string()}),
                    {"last.safetensors", "seed = 1", "seed = 0"});
  // Its own, with a config.toml that was edited meanwhile.
  write_bytes(run / checkpoint, own);
  std::string config = bytes_of(run / "config.toml");
  config.replace(config.find("seed = 0"), 8, "seed = 7");
  write_bytes(run / "config.toml", config);
  expect_refused_in(folder.path(), {"train", (run / "config.toml").string(), "--quiet", "--out", run.string()},
                    {"last.safetensors", "seed = 0", "seed = 7"});
}

TEST(StoppedTraining, RefusesALogThatEndsBeforeItsCheckpoint) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run", log = run / "metrics.jsonl";
  expect_done(train({"--out", run.string()}));
  fs::remove(run / "result.json");
  const std::string lines = bytes_of(log);
  for (const auto& [kept, found] :
       {std::pair{lines.substr(0, lines.find("{\"step\":41,")), "40"},
        std::pair{lines.substr(0, lines.size() - 1), "99"}, std::pair{std::string(), "none"}}) {
    write_bytes(log, kept);
    expect_refused_in(folder.path(), train({"--out", run.string()}), {"metrics.jsonl", "100", found});
  }
  write_bytes(log, lines);
  expect_done(train({"--out", run.string()}));
}

TEST(FullDisk, LosesNothingOfATraining) {
  const SmallDisk disk(512);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const TemporaryFolder elsewhere;
  const auto words = [](const fs::path& folder) {
    return train({"--out", folder.string(), "--checkpoint-every", "0.01"});
  };
  const fs::path expected = elsewhere.path() / "run", run = disk.path() / "run", filler = disk.path() / "filler";
  expect_done(words(expected));
  // More and more room: it fills up somewhere else each time.
  int refusals = 0;
  for (const int left : {2, 20, 60, 100, 140, 180, 220, 260}) {
    fs::remove(filler);
    const auto free = static_cast<std::int64_t>(fs::space(disk.path()).available) - 1024 * left;
    std::ofstream(filler, std::ios::binary)
        << std::string(static_cast<std::size_t>(std::max(free, std::int64_t{0})), 'x');
    const Outcome outcome = polariscope_run(words(run));
    if (outcome.code == 0) break;
    ++refusals;
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
    EXPECT_NE(outcome.err.find("No space left on device"), std::string::npos) << outcome.err;
    if (fs::exists(run)) expect_no_temporary_files(run);
  }
  EXPECT_GT(refusals, 1);
  fs::remove(filler);
  expect_done(words(run));
  expect_same_run(expected, run);
}

}  // namespace
}  // namespace polariscope::testing
