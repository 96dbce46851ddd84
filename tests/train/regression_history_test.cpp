// What a training of in-context regression leaves of its attention: rows, maps and the most skewed step.
#include "polariscope/train/regression_history.h"

#include "checkpoint_file.h"
#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"
#include "polariscope/runs/run_log.h"
#include "polariscope/tasks/in_context_regression.h"
#include "polariscope/train/regression_training.h"
#include "polariscope/train/run.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// Softmax at the paper's rate and a small batch: attention collapses, then the gradient explodes.
train::RegressionOptions exploding() { return {.steps = 2000, .batch = 64}; }

nlohmann::json run(const train::RegressionOptions& options, const fs::path& folder) {
  train::RegressionTraining training(options, 1);
  train::run_training(training, {}, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

NpyValues field(const fs::path& path, const std::string& name) { return npy_field(read_file(path), name); }

std::vector<models::AttentionOnlyMap> maps_at(const train::RegressionOptions& options, std::int64_t step) {
  train::RegressionTrainer trainer(options);
  while (trainer.step() < step) trainer.advance();
  std::vector<float> sequence(static_cast<std::size_t>(options.tokens * models::kTokenWidth)), answer(1);
  tasks::InContextRegression({.tokens = static_cast<int>(options.tokens)}, options.seed, tasks::Split::kEvaluation)
      .fill(0, 1, sequence, answer);
  return models::AttentionOnly<float>(train::model_of(options)).maps(trainer.values_before_last_finite(), sequence);
}

TEST(RegressionHistory, KeepsRowsOfStepsSpreadOverTheRun) {
  const TemporaryFolder folder;
  const train::RegressionOptions o{.layers = 2, .tokens = 6, .steps = 600, .batch = 8, .learning_rate = 0.1};
  run(o, folder.path());
  const NpyValues steps = field(folder.path() / "rows.npy", "step");
  ASSERT_EQ(steps.rows, 200U);  // every third
  for (std::size_t i = 0; i < steps.rows; ++i) EXPECT_EQ(steps.values[i], 3.0 * static_cast<double>(i) + 1.0);
  const std::vector<models::AttentionOnlyMap> expected = maps_at(o, 31);
  for (const int layer : {1, 2}) {
    const std::string of = "_layer" + std::to_string(layer);
    const NpyValues entropy = field(folder.path() / "rows.npy", "entropy" + of),
                    variance = field(folder.path() / "rows.npy", "logit_variance" + of);
    ASSERT_EQ(entropy.width, 6U);
    const models::AttentionOnlyMap& map = expected[static_cast<std::size_t>(layer - 1)];
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(entropy.values[10 * 6 + i], map.entropy[i]);
      EXPECT_EQ(variance.values[10 * 6 + i], map.logit_variance[i]);
    }
  }
}

TEST(RegressionHistory, KeepsTheMapsOfTheMostSkewedStep) {
  const TemporaryFolder folder;
  const nlohmann::json result = run(exploding(), folder.path());
  const runs::RunLog log = runs::read_run_log(folder.path() / "metrics.jsonl");
  std::size_t peak = 0;
  std::vector<double> skewness(log.steps(), 0.0);
  for (std::size_t n = 0; n < log.steps(); ++n) {
    for (std::size_t layer = 0; layer < 5; ++layer) skewness[n] += log.layer("skewness", layer)[n] / 5.0;
    if (skewness[n] > skewness[peak]) peak = n;
  }
  EXPECT_EQ(result.at("most_skewed_step"), log.step[peak]);
  EXPECT_NEAR(result.at("largest_skewness").get<double>(), skewness[peak], 1e-12);
  const std::vector<models::AttentionOnlyMap> expected = maps_at(exploding(), result.at("most_skewed_step"));
  for (std::size_t layer = 0; layer < 5; ++layer) {
    const NpyValues found = field(folder.path() / "most_skewed.npy", "layer" + std::to_string(layer + 1));
    EXPECT_EQ(found.width, 20U);
    EXPECT_EQ(found.values, expected[layer].weights);
  }
}

TEST(RegressionHistory, LeavesMapsBeforeAtAndAfterTheCollapse) {
  const TemporaryFolder folder;
  run(exploding(), folder.path());
  const fs::path rows = folder.path() / "rows.npy", maps = folder.path() / "maps.npy";
  const std::vector<double> kept = field(rows, "step").values, steps = field(maps, "step").values;
  const NpyValues entropy = field(rows, "entropy_layer1");
  std::size_t collapse = 0;
  const auto mean = [&](std::size_t n) {
    double sum = 0.0;
    for (std::size_t i = 0; i < 20; ++i) sum += entropy.values[n * 20 + i] / 20.0;
    return sum;
  };
  while (collapse < kept.size() && mean(collapse) >= 0.05 * std::log(20.0)) ++collapse;
  ASSERT_LT(collapse, kept.size());
  ASSERT_EQ(steps.size(), 6U);
  EXPECT_EQ(steps.front(), 1.0);
  EXPECT_EQ(steps[3], kept[collapse]);
  EXPECT_EQ(steps.back(), kept.back());
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  const NpyValues first = field(maps, "layer1");
  ASSERT_EQ(first.width, 400U);
  for (std::size_t row = 0; row < 6 * 20; ++row) {
    double sum = 0.0;
    for (std::size_t j = 0; j < 20; ++j) sum += first.values[row * 20 + j];
    EXPECT_NEAR(sum, 1.0, 1e-6);
  }
}

TEST(RegressionHistory, SpreadsMapsOverARunThatKeepsItsEntropy) {
  const TemporaryFolder folder;
  run({.attention = "elu1_kernel/sum", .layers = 2, .steps = 101, .batch = 8, .learning_rate = 0.1}, folder.path());
  EXPECT_EQ(field(folder.path() / "maps.npy", "step").values, (std::vector<double>{1, 21, 41, 61, 81, 101}));
}

TEST(RegressionHistory, IsTheSameBytesWhereverTheTrainingWasCut) {
  const train::RegressionOptions o{.layers = 2, .tokens = 5, .steps = 40, .batch = 8, .learning_rate = 0.5};
  const TemporaryFolder whole;
  run(o, whole.path());
  for (const std::int64_t cut : {1, 17, 39, 40}) {
    const TemporaryFolder folder;
    const fs::path checkpoint = folder.path() / "part";
    train::RegressionTraining first(o, 1), second(o, 1);
    for (std::int64_t step = 0; step < cut; ++step) first.advance();
    write_safetensors(checkpoint, first.checkpoint().tensors);
    second.restore(Safetensors(checkpoint), cut);
    for (std::int64_t step = cut; step < o.steps; ++step) second.advance();
    nlohmann::ordered_json result;
    second.finish(folder.path(), result);
    for (const char* name : {"rows.npy", "maps.npy", "most_skewed.npy"}) {
      EXPECT_TRUE(read_file(whole.path() / name) == read_file(folder.path() / name)) << name << " " << cut;
    }
  }
}

// Version 0.1.0 kept none.
TEST(RegressionHistory, BeginsAtACheckpointThatHasNone) {
  const train::RegressionOptions o{.layers = 1, .tokens = 4, .steps = 12, .batch = 8, .learning_rate = 0.1};
  const TemporaryFolder folder;
  train::RegressionTrainer before(o);
  while (before.step() < 9) before.advance();
  write_checkpoint(before, folder.path() / "part");
  train::RegressionTraining training(o, 1);
  training.restore(Safetensors(folder.path() / "part"), 9);
  while (training.advance().step < o.steps) {
  }
  nlohmann::ordered_json result;
  training.finish(folder.path(), result);
  EXPECT_EQ(field(folder.path() / "rows.npy", "step").values, (std::vector<double>{10, 11, 12}));
}

}  // namespace
}  // namespace polariscope::testing
