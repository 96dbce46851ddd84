// The fit of a forecast and how it is judged: planted signals, shuffled outcomes, and runs in folders.
#include "polariscope/sweep/forecast.h"

#include "polariscope/base/files.h"
#include "polariscope/base/random.h"
#include "polariscope/sweep/forecast_table.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace polariscope::sweep {
namespace {

namespace fs = std::filesystem;
using testing::complaint_of;
using testing::TemporaryFolder;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// Signs are independent normal numbers; the odds of a collapse hang on two of them.
std::vector<ForecastRun> planted(int seeds, int each, double strength, std::uint64_t stream) {
  RandomStream random(7, stream);
  std::vector<ForecastRun> runs;
  for (int seed = 0; seed < seeds; ++seed) {
    for (int i = 0; i < each; ++i) {
      ForecastRun run{.folder = "run", .seed = seed, .window = 40, .read = 40};
      for (double& sign : run.signs) sign = 3.0 + 2.0 * random.normal();
      const double odds = strength * ((run.signs[0] - 3.0) / 2.0 - 0.5 * (run.signs[5] - 3.0) / 2.0) - 0.5;
      run.outcome = random.uniform() < sigmoid(odds) ? RunOutcome::kCollapsed : RunOutcome::kHeld;
      runs.push_back(run);
    }
  }
  return runs;
}

TEST(Logistic, IsWhereTheGradientIsNone) {
  std::vector<Example> examples;
  RandomStream random(3, 1);
  for (int i = 0; i < 60; ++i) {
    const double x = random.normal(), y = random.normal();
    examples.push_back({.signs = {10.0 + x, 0.01 * y, 5.0}, .outcome = random.uniform() < sigmoid(2.0 * x - y)});
  }
  const Logistic model = Logistic::fit(examples);
  // Sums of the residual, which the intercept makes 0, and of residual times sign, which the penalty holds at the
  // weight.
  double mean = 0.0, squares = 0.0, residual = 0.0, along = 0.0;
  for (const Example& one : examples) mean += one.signs[0] / 60.0;
  for (const Example& one : examples) squares += (one.signs[0] - mean) * (one.signs[0] - mean) / 60.0;
  for (const Example& one : examples) {
    const double off = (one.outcome ? 1.0 : 0.0) - model.probability(one.signs);
    residual += off;
    along += off * (one.signs[0] - mean) / std::sqrt(squares);
  }
  EXPECT_NEAR(residual, 0.0, 1e-9);
  EXPECT_NEAR(along, model.weights()[0], 1e-9);
  EXPECT_GT(model.weights()[0], 0.5);
  EXPECT_LT(model.weights()[1], 0.0);
  EXPECT_EQ(model.weights()[2], 0.0) << "a sign that is always the same";
}

TEST(Logistic, HasAnEndWhereASignDecides) {
  std::vector<Example> examples;
  for (int i = 0; i < 40; ++i) examples.push_back({.signs = {static_cast<double>(i)}, .outcome = i >= 20});
  const Logistic model = Logistic::fit(examples);
  EXPECT_TRUE(std::isfinite(model.weights()[0]));
  EXPECT_GT(model.probability(std::vector{39.0}), 0.97);
  EXPECT_NEAR(model.probability(std::vector{19.5}), 0.5, 1e-9);
}

TEST(Forecast, OfAPlantedSignalIsCalibratedAndBeatsTheBaseRate) {
  const ForecastFit fit = fit_forecast(planted(20, 100, 2.0, 1));
  EXPECT_TRUE(fit.held_out.is_better_than_base_rate());
  EXPECT_GT(fit.held_out.auc, 0.8);
  EXPECT_LT(fit.held_out.brier, 0.8 * fit.held_out.base_brier);
  for (const ForecastBin& bin : fit.held_out.bins) {
    ASSERT_GT(bin.runs, 100U);
    // Four standard errors of a share.
    EXPECT_NEAR(bin.forecast, bin.collapsed, 4.0 * std::sqrt(0.25 / static_cast<double>(bin.runs)));
  }
  EXPECT_NEAR(fit.model.weights()[0], 2.0, 0.3);
  EXPECT_NEAR(fit.model.weights()[5], -1.0, 0.3);
}

TEST(Forecast, OfShuffledOutcomesIsNoBetterThanTheBaseRate) {
  const ForecastFit fit = fit_forecast(planted(20, 100, 0.0, 2));
  EXPECT_NEAR(fit.held_out.auc, 0.5, 0.05) << "four standard errors of 1000 against 1000";
  EXPECT_FALSE(fit.held_out.is_better_than_base_rate());
  EXPECT_NE(forecasts_in_words(fit, {}).find("no better than the base rate"), std::string::npos);
}

TEST(Forecast, IsJudgedOnSeedsThatItHasNotSeen) {
  // Each seed has a constant of its own, and collapses all or not at all: nothing that holds of another.
  std::vector<ForecastRun> runs;
  RandomStream random(5, 5);
  for (int seed = 0; seed < 12; ++seed) {
    for (int i = 0; i < 20; ++i) {
      ForecastRun run{.folder = "run", .seed = seed, .window = 40, .read = 40};
      run.signs.fill(seed % 3 == 0 ? seed : -seed);
      run.outcome = (seed * 7) % 4 < 2 ? RunOutcome::kCollapsed : RunOutcome::kHeld;
      runs.push_back(run);
    }
  }
  EXPECT_FALSE(fit_forecast(runs).held_out.is_better_than_base_rate());
}

TEST(Skill, IsOfKnownNumbers) {
  const std::vector<double> forecasts{0.1, 0.9, 0.9, 0.3}, base{0.5, 0.5, 0.5, 0.5};
  const ForecastSkill skill = skill_of(forecasts, base, {false, true, false, true});
  EXPECT_DOUBLE_EQ(skill.brier, (0.01 + 0.01 + 0.81 + 0.49) / 4.0);
  EXPECT_DOUBLE_EQ(skill.base_brier, 0.25);
  EXPECT_DOUBLE_EQ(skill.auc, (1.0 + 0.5 + 1.0 + 0.0) / 4.0);
  EXPECT_EQ(skill.bins[0].runs, 1U);
  EXPECT_EQ(skill.bins[1].collapsed, 1.0);
  EXPECT_EQ(skill.bins[4].runs, 2U);
  EXPECT_DOUBLE_EQ(skill.bins[4].collapsed, 0.5);
}

TEST(Forecast, RefusesRunsThatItCannotBeFittedOn) {
  EXPECT_EQ(
      complaint_of([] { fit_forecast({}); }),
      "of 0 runs to fit on 0 collapsed behind their first tenth: a forecast needs some that did and some that did "
      "not");
  std::vector<ForecastRun> runs = planted(2, 30, 1.0, 3);
  for (ForecastRun& run : runs) run.seed = 4;
  EXPECT_NE(complaint_of([&] { fit_forecast(runs); }).find("of one seed"), std::string::npos);
  for (ForecastRun& run : runs) run.outcome = RunOutcome::kHeld;
  runs.front().outcome = RunOutcome::kCollapsed;
  runs.front().seed = 5;
  EXPECT_NE(complaint_of([&] { fit_forecast(runs); }).find("without seed "), std::string::npos);
}

// A folder as a training leaves it.
void make_run(const fs::path& folder, int logged, const std::string& result) {
  make_folder(folder);
  write_file(folder / "config.toml",
             "command = \"train\"\ntask = \"in-context-regression\"\nsteps = 200\nseed = 3\nlearning-rate = 0.5\n");
  std::string text;
  for (int step = 1; step <= logged; ++step) {
    text += fmt::format(R"({{"step":{},"loss":{},"gradient_norm":1,"entropy":[[1]],"frobenius_norm":[[1]],)"
                        R"("logit_variance":[[1]]}})"
                        "\n",
                        step, std::exp(-0.01 * step));
  }
  write_file(folder / "metrics.jsonl", text);
  if (!result.empty()) write_file(folder / "result.json", result);
}

TEST(ForecastRuns, AreReadToTheEndOfTheirFirstTenth) {
  const TemporaryFolder folder;
  const auto outcome = [&](const std::string& result) {
    make_run(folder.path() / "run", 200, result);
    return read_forecast_run(folder.path() / "run").outcome;
  };
  const auto result = [](bool diverged, int finite, int alarms, int first) {
    return fmt::format(R"({{"diverged":{},"last_finite_step":{},"alarms":{},"first_alarm_step":{}}})", diverged, finite,
                       alarms, first);
  };
  EXPECT_EQ(outcome(""), RunOutcome::kUnknown);
  EXPECT_EQ(outcome(result(false, 200, 0, 0)), RunOutcome::kHeld);
  EXPECT_EQ(outcome(result(false, 200, 1, 21)), RunOutcome::kCollapsed);
  EXPECT_EQ(outcome(result(false, 200, 1, 20)), RunOutcome::kEarly);
  EXPECT_EQ(outcome(result(true, 30, 0, 0)), RunOutcome::kCollapsed);
  EXPECT_EQ(outcome(result(true, 19, 0, 0)), RunOutcome::kEarly);
  const ForecastRun run = read_forecast_run(folder.path() / "run");
  EXPECT_EQ(run.seed, 3);
  EXPECT_EQ(run.window, 20);
  ASSERT_TRUE(run.has_signs());
  EXPECT_NEAR(run.signs[4], -0.2, 1e-9);
  EXPECT_NEAR(run.signs[6], std::log(0.5), 1e-12);
  make_run(folder.path() / "run", 19, "");
  EXPECT_FALSE(read_forecast_run(folder.path() / "run").has_signs());
}

TEST(ForecastRuns, AreFoundBelowAFolderAndRefusedWhereTheyAreNone) {
  const TemporaryFolder folder;
  for (const char* name : {"runs/00002", "runs/00001"}) make_run(folder.path() / name, 200, "");
  const std::vector<fs::path> found = runs_at(folder.path());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found.front().filename(), "00001");
  EXPECT_EQ(runs_at(found.front()), std::vector{found.front()});
  EXPECT_NE(complaint_of([&] { runs_at(folder.path() / "nowhere"); }).find("holds no runs"), std::string::npos);
  const fs::path run = found.front();
  write_file(run / "metrics.jsonl", "{\"step\":1,\"loss\":3}\n");
  EXPECT_NE(complaint_of([&] { read_forecast_run(run); }).find("metrics.jsonl, line 1"), std::string::npos);
  make_run(run, 200, "[1]");
  EXPECT_NE(complaint_of([&] { read_forecast_run(run); }).find("result.json"), std::string::npos);
  write_file(run / "config.toml", "model = 3\n");
  EXPECT_NE(complaint_of([&] { read_forecast_run(run); }).find("config.toml"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::sweep
