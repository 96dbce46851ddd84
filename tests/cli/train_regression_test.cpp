// polariscope train --task in-context-regression from the command line.
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

Words regression(const Words& more) {
  Words words{"train", "--task", "in-context-regression", "--threads", "1", "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void expect_done(const Words& words) {
  const Outcome outcome = polariscope_run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST(TrainRegression, RefusesInOneSentenceAndLeavesNoFolder) {
  const auto refused = [](const Words& more, const Words& expected) {
    Words words = regression({"--out", "run"});
    words.insert(words.end(), more.begin(), more.end());
    expect_refused(words, expected);
  };
  refused({"--heads", "2"}, {"--heads has no meaning for in-context-regression", "only for induction"});
  refused({"--evaluation-sequences", "10"}, {"--evaluation-sequences has no meaning"});
  refused({"--optimiser", "adamw", "--momentum", "0.8"}, {"--momentum has no meaning without optimiser sgd"});
  refused({"--layer-form", "residul"}, {"residul", "residual"});
  refused({"--qk-norm", "batch"}, {"batch", "layer"});
  refused({"--attention", "mlp"}, {"mlp", "choose another"});
  refused({"--steps", "0"}, {"--steps is 0", "a whole number of at least 1"});
  refused({"--steps", "1.5"}, {"--steps is 1.5", "whole"});
  refused({"--learning-rate", "-1"}, {"--learning-rate is -1", "above 0"});
  refused({"--on-alarm", "shout"}, {"--on-alarm", "shout", "log, checkpoint, stop"});
  expect_refused({"train", "--out", "run", "--steps", "5"}, {"--steps", "in-context-regression", "induction"});
  expect_refused({"train", "--out", "run", "--task", "in-context-regresion"}, {"in-context-regression"});
}

TEST(TrainRegression, WritesItsOwnDefaultsAndReadsThemAgain) {
  const TemporaryFolder folder;
  const std::string run = (folder.path() / "run").string(), again = (folder.path() / "again").string();
  expect_done(regression({"--out", run, "--steps", "20", "--batch", "100", "--qk-norm", "layer"}));
  EXPECT_EQ(bytes_of(run + "/config.toml"),
            "command = \"train\"\ntask = \"in-context-regression\"\nsequence-length = 20\nattention = \"softmax\"\n"
            "layers = 5\nlayer-form = \"residual\"\nqk-norm = \"layer\"\ncausal = false\noptimiser = "
            "\"sgd\"\nlearning-rate = 0.7\n"
            "momentum = 0.8\nrescue = \"no\"\nrescues = 3\nsteps = 20\nbatch = 100\nseed = 0\n");
  expect_done({"train", run + "/config.toml", "--threads", "1", "--quiet", "--out", again});
  for (const char* name : {"config.toml", "metrics.jsonl", "result.json", "checkpoint/last.safetensors"}) {
    EXPECT_TRUE(bytes_of(fs::path(run) / name) == bytes_of(fs::path(again) / name)) << name;
  }
  EXPECT_EQ(nlohmann::json::parse(bytes_of(run + "/result.json")).at("steps"), 20);
}

TEST(TrainRegression, ThatIsKilledAtAnyMomentEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const fs::path whole = folder.path() / "whole", run = folder.path() / "run";
  const auto words = [](const fs::path& to) {
    return regression({"--attention", "elu1_kernel/sum", "--steps", "400", "--batch", "500", "--checkpoint-every",
                       "0.05", "--out", to.string()});
  };
  expect_done(words(whole));
  for (int i = 0; i < 4 && !fs::exists(run / "result.json"); ++i) {
    Running process(polariscope_command(words(run)));
    std::this_thread::sleep_for(std::chrono::milliseconds(450 + 90 * i));  // the program takes 0.3 s to load
    if (!process.ended()) process.send(SIGKILL);
    process.wait();
  }
  expect_done(words(run));
  for (const char* name : {"config.toml", "metrics.jsonl", "result.json", "checkpoint/last.safetensors", "rows.npy",
                           "maps.npy", "most_skewed.npy"}) {
    EXPECT_TRUE(bytes_of(whole / name) == bytes_of(run / name)) << name;
  }
}

TEST(TrainRegression, ThatIsKilledTellsTheSameAlarms) {
  const TemporaryFolder folder;
  const fs::path whole = folder.path() / "whole", run = folder.path() / "run";
  const auto words = [](const fs::path& to) {
    return regression({"--batch", "64", "--steps", "2000", "--checkpoint-every", "0.02", "--out", to.string()});
  };
  expect_done(words(whole));
  EXPECT_FALSE(bytes_of(whole / "alarms.jsonl").empty());
  for (int i = 0; i < 4 && !fs::exists(run / "result.json"); ++i) {
    Running process(polariscope_command(words(run)));
    std::this_thread::sleep_for(std::chrono::milliseconds(350 + 60 * i));  // the program takes 0.3 s to load
    if (!process.ended()) process.send(SIGKILL);
    process.wait();
  }
  expect_done(words(run));
  for (const char* name : {"alarms.jsonl", "metrics.jsonl", "result.json", "rows.npy", "maps.npy", "most_skewed.npy"}) {
    EXPECT_TRUE(bytes_of(whole / name) == bytes_of(run / name)) << name;
  }
}

TEST(TrainRegression, StopsAtAnAlarmAndSaysSo) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run", log = folder.path() / "log";
  const Words heard{"train",      "--task",  "in-context-regression",
                    "--threads",  "1",       "--batch",
                    "64",         "--steps", "2000",
                    "--on-alarm", "stop",    "--out",
                    run.string()};
  const Outcome outcome = polariscope_run(heard);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  EXPECT_EQ(result.at("stopped_by_alarm"), true);
  EXPECT_EQ(result.at("diverged"), false);
  EXPECT_NE(outcome.err.find("step " + result.at("first_alarm_step").dump() + ": "), std::string::npos) << outcome.err;
  // How a run is done is not what it is.
  expect_done(regression({"--batch", "64", "--steps", "2000", "--on-alarm", "checkpoint", "--out", log.string()}));
  EXPECT_EQ(bytes_of(run / "config.toml"), bytes_of(log / "config.toml"));
  EXPECT_TRUE(fs::exists(log / "checkpoint" / ("alarm-" + result.at("first_alarm_step").dump() + ".safetensors")));
}

TEST(TrainRegression, ThatDivergesIsAResult) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  expect_done(regression({"--out", run.string(), "--batch", "100", "--steps", "2000"}));
  EXPECT_EQ(nlohmann::json::parse(bytes_of(run / "result.json")).at("diverged"), true);
  EXPECT_TRUE(fs::exists(run / "checkpoint" / "before_divergence.safetensors"));
}

}  // namespace
}  // namespace polariscope::testing
