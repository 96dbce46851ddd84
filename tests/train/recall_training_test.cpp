// The training that docs/adding-a-model.md shows, run as the page says.
#include "examples/recall_training.h"

#include "polariscope/base/files.h"
#include "polariscope/runs/alarms.h"
#include "polariscope/train/run.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

nlohmann::json run(const train::RecallOptions& options, const fs::path& folder,
                   runs::OnAlarm on_alarm = runs::OnAlarm::kLog) {
  train::RecallTraining training(options);
  train::run_training(training, {.on_alarm = on_alarm}, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

// Without a normaliser scores and gradients drive each other.
train::RecallOptions exploding() { return {.attention = "identity", .steps = 5000, .learning_rate = 3.0}; }

TEST(RecallTraining, Learns) {
  const TemporaryFolder folder;
  const nlohmann::json result = run({.steps = 1000}, folder.path());
  EXPECT_EQ(result.at("steps"), 1000);
  EXPECT_EQ(result.at("diverged"), false);
  const std::string log = read_file(folder.path() / "metrics.jsonl");
  const nlohmann::json first = nlohmann::json::parse(log.substr(0, log.find('\n')));
  EXPECT_LT(result.at("loss").get<double>(), 0.5 * first.at("loss").get<double>());
}

TEST(RecallTraining, GoesOnWithTheSameBits) {
  const TemporaryFolder whole, parts;
  run({}, whole.path());
  for (const std::int64_t steps : {70, 71, 200}) {
    run({.steps = steps}, parts.path());
    if (steps < 200) fs::remove(parts.path() / "result.json");
  }
  for (const char* name : {"metrics.jsonl", "alarms.jsonl", "result.json", "checkpoint/last.safetensors"}) {
    EXPECT_TRUE(read_file(whole.path() / name) == read_file(parts.path() / name)) << name;
  }
}

TEST(RecallTraining, DivergesAndSaysSo) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path());
  EXPECT_EQ(result.at("diverged"), true) << result;
  EXPECT_EQ(result.at("steps").get<int>(), result.at("last_finite_step").get<int>() + 1);
  EXPECT_TRUE(fs::exists(folder.path() / "checkpoint" / "before_divergence.safetensors"));
}

TEST(RecallTraining, GivesAnAlarmBeforeItDiverges) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path(), runs::OnAlarm::kStop);
  EXPECT_EQ(result.at("stopped_by_alarm"), true) << result;
  EXPECT_EQ(result.at("diverged"), false);
  EXPECT_EQ(result.at("first_alarm_step"), result.at("steps"));
}

}  // namespace
}  // namespace polariscope::testing
