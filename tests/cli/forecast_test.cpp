// polariscope forecast, on runs that are written out.
#include "command.h"
#include "polariscope/base/random.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <string>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// Forty of 400 steps, in which the entropy falls by that share of its logarithm.
void make_run(const fs::path& folder, int seed, double fall, const char* result) {
  fs::create_directories(folder);
  write_bytes(folder / "config.toml", fmt::format("task = \"in-context-regression\"\nsteps = 400\nseed = {}\n", seed));
  std::string log;
  for (int step = 1; step <= 40; ++step) {
    log += fmt::format(R"({{"step":{},"loss":1,"gradient_norm":1,"entropy":[[{}]],"frobenius_norm":[[1]],)"
                       R"("logit_variance":[[2]]}})"
                       "\n",
                       step, 2.0 * std::exp(-fall * step / 40.0));
  }
  write_bytes(folder / "metrics.jsonl", log);
  if (result != nullptr) write_bytes(folder / "result.json", result);
}

constexpr const char *kHeld = R"({"diverged":false,"alarms":0,"last_finite_step":400})",
                     *kCollapsed = R"({"diverged":true,"alarms":0,"last_finite_step":200})";

// Who falls faster collapses, more often than not.
void make_sweep(const fs::path& folder) {
  RandomStream random(1, 1);
  for (int i = 0; i < 120; ++i) {
    const double fall = random.uniform();
    const bool collapses = random.uniform() < (fall > 0.5 ? 0.9 : 0.1);
    make_run(folder / "runs" / fmt::format("{:05}", i), i % 6, fall, collapses ? kCollapsed : kHeld);
  }
}

TEST(Forecast, TellsHowGoodItIsAndWhatAwaitsARunThatIsAtWork) {
  const TemporaryFolder folder;
  const std::string sweep = (folder.path() / "sweep").string();
  make_sweep(sweep);
  make_run(folder.path() / "safe", 70, 0.1, nullptr);
  make_run(folder.path() / "doomed", 71, 0.9, nullptr);
  const Outcome told = polariscope_run({"forecast", (folder.path() / "safe").string(), "--fit", sweep});
  ASSERT_EQ(told.code, 0) << told.err;
  for (const char* words : {"collapses with", "fitted on 120 runs of 6 seeds", "Brier score", "AUC", "80 to 100 %",
                            "trend of the mean entropy"}) {
    EXPECT_NE(told.out.find(words), std::string::npos) << words << "\n" << told.out;
  }
  EXPECT_EQ(told.out.find("do not rely on it"), std::string::npos) << told.out;
  const Outcome json = polariscope_run(
      {"forecast", (folder.path() / "safe").string(), (folder.path() / "doomed").string(), "--fit", sweep, "--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const auto whole = nlohmann::json::parse(json.out);
  EXPECT_LT(whole.at("forecasts").at(0).at("probability"), 0.4);
  EXPECT_GT(whole.at("forecasts").at(1).at("probability"), 0.6);
  EXPECT_EQ(whole.at("forecasts").at(1).at("outcome"), nullptr);
  EXPECT_EQ(whole.at("fit").at("seeds"), 6);
  EXPECT_GT(whole.at("held_out").at("auc"), 0.8);
  EXPECT_EQ(whole.at("held_out").at("better_than_base_rate"), true);
}

TEST(Forecast, RefusesInOneSentence) {
  const TemporaryFolder folder;
  const fs::path sweep = folder.path() / "sweep", alike = folder.path() / "alike", run = folder.path() / "run";
  make_sweep(sweep);
  for (int seed = 0; seed < 4; ++seed) make_run(alike / std::to_string(seed), seed, 0.5, kHeld);
  make_run(run, 0, 0.5, nullptr);
  expect_refused({"forecast", run.string()}, {"--fit"});
  expect_refused({"forecast", "--fit", (folder.path() / "nowhere").string()}, {"nowhere", "holds no runs"});
  expect_refused({"forecast", "--fit", alike.string()}, {"of 4 runs", "0 collapsed"});
  expect_refused({"forecast", (folder.path() / "gone").string(), "--fit", sweep.string()}, {"gone", "holds no runs"});
  const std::string log = bytes_of(run / "metrics.jsonl");
  write_bytes(run / "metrics.jsonl", log.substr(0, log.find("{\"step\":31,")));
  expect_refused({"forecast", run.string(), "--fit", sweep.string()}, {"30 of the 40 steps"});
  write_bytes(run / "metrics.jsonl", "{\"step\":1,\"accuracy\":3}\n");
  expect_refused({"forecast", run.string(), "--fit", sweep.string()}, {"metrics.jsonl, line 1: expected a step"});
  write_bytes(run / "metrics.jsonl", log);
  write_bytes(run / "config.toml", "task = \"in-context-regression\"\nsteps = 60\n");
  expect_refused({"forecast", run.string(), "--fit", sweep.string()}, {"a tenth of its steps is 6", "at least 10"});
}

}  // namespace
}  // namespace polariscope::testing
