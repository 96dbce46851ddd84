// What a training of in-context regression does at an alarm.
#include "checkpoint_file.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/runs/alarms.h"
#include "polariscope/runs/watched_steps.h"
#include "polariscope/train/regression_trainer.h"
#include "polariscope/train/regression_training.h"
#include "polariscope/train/run.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// Softmax at the paper's rate and a small batch: attention collapses, then the gradient explodes.
train::RegressionOptions exploding() { return {.steps = 2000, .batch = 64}; }

nlohmann::json run(const train::RegressionOptions& options, const fs::path& folder, runs::OnAlarm on_alarm) {
  train::RegressionTraining training(options, 1);
  train::run_training(training, {.on_alarm = on_alarm}, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

nlohmann::json first_alarm(const fs::path& folder) {
  const std::string text = read_file(folder / "alarms.jsonl");
  return nlohmann::json::parse(text.substr(0, text.find('\n')));
}

TEST(RegressionAlarms, AreLoggedBeforeTheTrainingExplodes) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path(), runs::OnAlarm::kLog);
  ASSERT_EQ(result.at("diverged"), true);
  EXPECT_EQ(result.at("stopped_by_alarm"), false);
  EXPECT_GT(result.at("alarms"), 0);
  EXPECT_LT(result.at("first_alarm_step"), result.at("last_finite_step"));
  const nlohmann::json alarm = first_alarm(folder.path());
  EXPECT_EQ(alarm.at("step"), result.at("first_alarm_step"));
  EXPECT_FALSE(alarm.at("sentence").get<std::string>().empty());
  const runs::MapShape shape = runs::map_shape(5, 1, 20, false);
  EXPECT_EQ(runs::alarms_of(runs::read_watched_steps(folder.path() / "metrics.jsonl"), shape).size(),
            result.at("alarms"));
}

TEST(RegressionAlarms, KeepTheStateOfTheStepThatAlarmed) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path(), runs::OnAlarm::kCheckpoint);
  const std::int64_t step = result.at("first_alarm_step");
  const fs::path checkpoint = folder.path() / "checkpoint" / ("alarm-" + std::to_string(step) + ".safetensors");
  ASSERT_TRUE(fs::exists(checkpoint));
  train::RegressionTrainer trainer(exploding());
  read_checkpoint(trainer, checkpoint, step);
  EXPECT_EQ(trainer.step(), step);
}

TEST(RegressionAlarms, StopTheTrainingIfAsked) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path(), runs::OnAlarm::kStop);
  EXPECT_EQ(result.at("stopped_by_alarm"), true);
  EXPECT_EQ(result.at("diverged"), false);
  EXPECT_EQ(result.at("steps"), result.at("first_alarm_step"));
  // Killed between its checkpoint and its result: it stops where it stood.
  const std::string alarms = read_file(folder.path() / "alarms.jsonl");
  fs::remove(folder.path() / "result.json");
  EXPECT_EQ(run(exploding(), folder.path(), runs::OnAlarm::kStop), result);
  EXPECT_EQ(read_file(folder.path() / "alarms.jsonl"), alarms);
}

TEST(RegressionAlarms, AreTheSameBytesWhereverTheTrainingWasCut) {
  const TemporaryFolder whole;
  const nlohmann::json result = run(exploding(), whole.path(), runs::OnAlarm::kLog);
  const std::string expected = read_file(whole.path() / "alarms.jsonl");
  const std::int64_t first = result.at("first_alarm_step"), last = result.at("last_finite_step");
  for (const std::int64_t cut : {first - 20, first, (first + last) / 2}) {
    const TemporaryFolder folder;
    train::RegressionOptions part = exploding();
    part.steps = cut;
    run(part, folder.path(), runs::OnAlarm::kLog);
    fs::remove(folder.path() / "result.json");
    std::ofstream(folder.path() / "alarms.jsonl", std::ios::app) << "{\"step\":1";  // half a line
    EXPECT_EQ(run(exploding(), folder.path(), runs::OnAlarm::kLog), result) << cut;
    EXPECT_TRUE(read_file(folder.path() / "alarms.jsonl") == expected) << cut;
  }
}

TEST(RegressionAlarms, OfAHealthyTrainingAreNone) {
  const TemporaryFolder folder;
  const nlohmann::json result =
      run({.attention = "elu1_kernel/sum", .steps = 300, .batch = 100}, folder.path(), runs::OnAlarm::kStop);
  EXPECT_EQ(result.at("alarms"), 0);
  EXPECT_FALSE(result.contains("first_alarm_step"));
  EXPECT_EQ(result.at("steps"), 300);
  EXPECT_EQ(read_file(folder.path() / "alarms.jsonl"), "");
}

TEST(OnAlarm, RefusesAnUnknownNameWithTheKnownOnes) {
  EXPECT_EQ(runs::find_on_alarm("stop"), runs::OnAlarm::kStop);
  const std::string refusal = complaint_of([] { runs::find_on_alarm("shout"); });
  EXPECT_NE(refusal.find("log, checkpoint, stop"), std::string::npos) << refusal;
}

}  // namespace
}  // namespace polariscope::testing
