// polariscope train --on-alarm rescue, and --rescue.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// Softmax at the paper's rate and a small batch, whose attention collapses.
Words collapsing(const fs::path& to, const Words& more) {
  Words words{"train", "--task",   "in-context-regression", "--threads", "1", "--batch", "64", "--steps", "1000",
              "--out", to.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

nlohmann::json result_of(const fs::path& run) { return nlohmann::json::parse(bytes_of(run / "result.json")); }

TEST(TrainRescue, IsWhatOnAlarmRescueAsksForAndPartOfWhatTheRunIs) {
  const TemporaryFolder folder;
  const fs::path one = folder.path() / "one", other = folder.path() / "other";
  const Outcome outcome = polariscope_run(collapsing(one, {"--on-alarm", "rescue"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(": rescue 1 of 3: back to step "), std::string::npos) << outcome.err;
  EXPECT_GE(result_of(one).at("rescues"), 1);
  EXPECT_NE(bytes_of(one / "config.toml").find("rescue = \"lower\"\nrescue-factor = 0.5\nrescues = 3\n"),
            std::string::npos);
  ASSERT_EQ(polariscope_run(collapsing(other, {"--rescue", "lower", "--on-alarm", "stop", "--quiet"})).code, 0);
  for (const char* name : {"config.toml", "metrics.jsonl", "result.json", "alarms.jsonl", "rescue-1.jsonl"}) {
    EXPECT_TRUE(bytes_of(one / name) == bytes_of(other / name)) << name;
  }
  const Words again{"train", (one / "config.toml").string(), "--on-alarm", "rescue", "--quiet", "--out", one.string()};
  EXPECT_EQ(polariscope_run(again).code, 0) << "the same run";
}

TEST(TrainRescue, IsRefusedWhereItWouldMakeAnotherRun) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  expect_refused(collapsing("run", {"--on-alarm", "rescue", "--rescue", "no"}), {"--on-alarm rescue", "--rescue no"});
  expect_refused(collapsing("run", {"--rescue", "skip", "--rescue-factor", "0.3"}),
                 {"--rescue-factor", "rescue lower"});
  expect_refused(collapsing("run", {"--rescue", "lower", "--rescue-factor", "1"}), {"--rescue-factor is 1"});
  expect_refused(collapsing("run", {"--rescue", "lower", "--rescues", "0"}), {"--rescues is 0"});
  ASSERT_EQ(polariscope_run({"train", "--task", "in-context-regression", "--steps", "5", "--batch", "8", "--quiet",
                             "--out", run.string()})
                .code,
            0);
  expect_refused_in(folder.path(),
                    {"train", (run / "config.toml").string(), "--on-alarm", "rescue", "--out", run.string()},
                    {"--on-alarm rescue", "choose another --out"});
}

TEST(TrainRescue, ThatIsKilledAtAnyMomentEndsWithTheSameBits) {
  const TemporaryFolder folder;
  for (const char* rescue : {"lower", "skip"}) {
    const fs::path whole = folder.path() / rescue / "whole", run = folder.path() / rescue / "run";
    const auto words = [&](const fs::path& to) {
      return collapsing(to, {"--rescue", rescue, "--checkpoint-every", "0.02", "--quiet"});
    };
    ASSERT_EQ(polariscope_run(words(whole)).code, 0);
    EXPECT_GE(result_of(whole).at("rescues"), 1);
    for (int i = 0; i < 5 && !fs::exists(run / "result.json"); ++i) {
      Running process(polariscope_command(words(run)));
      std::this_thread::sleep_for(std::chrono::milliseconds(350 + 70 * i));  // the program takes 0.3 s to load
      if (!process.ended()) process.send(SIGKILL);
      process.wait();
    }
    ASSERT_EQ(polariscope_run(words(run)).code, 0);
    for (const char* name : {"metrics.jsonl", "result.json", "alarms.jsonl", "rescue-1.jsonl", "rows.npy", "maps.npy",
                             "most_skewed.npy", "checkpoint/last.safetensors"}) {
      EXPECT_TRUE(bytes_of(whole / name) == bytes_of(run / name)) << rescue << " " << name;
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
