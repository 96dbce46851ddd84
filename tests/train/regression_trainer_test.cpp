// Steps of in-context regression, their checkpoints and their end.
#include "polariscope/train/regression_trainer.h"

#include "checkpoint_file.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/train/regression_training.h"
#include "polariscope/train/run.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// Softmax at the paper's rate and a small batch: its gradient explodes after some hundred steps.
train::RegressionOptions exploding() { return {.steps = 2000, .batch = 64}; }

nlohmann::json run(const train::RegressionOptions& options, const fs::path& folder, double checkpoint_seconds = 60.0) {
  train::RegressionTraining training(options, 1);
  train::run_training(training, {.checkpoint_seconds = checkpoint_seconds}, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

TEST(RegressionTrainer, LearnsAndRecordsEveryLayer) {
  train::RegressionTrainer trainer({.attention = "elu1_kernel/sum", .steps = 300, .batch = 500, .learning_rate = 0.3});
  EXPECT_EQ(trainer.last_finite().step, 0);
  const train::RegressionRecord first = trainer.advance();
  EXPECT_EQ(first.step, 1);
  ASSERT_EQ(first.layers.size(), 5U);
  EXPECT_GT(first.gradient_norm, 0.0);
  // b = g at the first step.
  EXPECT_NEAR(first.update_norm, 0.3 * first.gradient_norm, 1e-6 * first.gradient_norm);
  while (trainer.step() < 300) trainer.advance();
  EXPECT_FALSE(trainer.diverged());
  EXPECT_LT(trainer.last_finite().loss, 0.9 * first.loss);
}

TEST(RegressionTrainer, TakesTheSameStepsOnAnyNumberOfThreads) {
  const fs::path name = "checkpoint";
  const TemporaryFolder one, three;
  for (const auto& [folder, threads] : {std::pair{&one, 1}, std::pair{&three, 3}}) {
    train::RegressionTrainer trainer({.attention = "sink", .qk_norm = "rms", .batch = 700}, threads);
    for (int i = 0; i < 5; ++i) trainer.advance();
    write_checkpoint(trainer, folder->path() / name);
  }
  EXPECT_TRUE(read_file(one.path() / name) == read_file(three.path() / name));
}

TEST(RegressionTrainer, GoesOnFromItsCheckpointWithTheSameBits) {
  const TemporaryFolder folder;
  for (const auto& [stop, optimiser] : {std::pair{0, "sgd"}, {1, "sgd"}, {5, "sgd"}, {1, "adamw"}, {5, "adam"}}) {
    const train::RegressionOptions options{
        .qk_norm = "layer", .batch = 100, .optimiser = optimiser, .learning_rate = 0.05};
    train::RegressionTrainer whole(options), first(options), second(options);
    while (whole.step() < 11) whole.advance();
    while (first.step() < stop) first.advance();
    write_checkpoint(first, folder.path() / "part");
    read_checkpoint(second, folder.path() / "part", stop);
    EXPECT_EQ(second.step(), stop);
    EXPECT_EQ(second.last_finite().loss, first.last_finite().loss);
    while (second.step() < 11) second.advance();
    write_checkpoint(whole, folder.path() / "whole");
    write_checkpoint(second, folder.path() / "second");
    EXPECT_TRUE(read_file(folder.path() / "whole") == read_file(folder.path() / "second")) << stop;
  }
}

// Against the definition of train/optimiser_options.h in doubles, of one parameter at a time.
TEST(RegressionTrainer, TakesTheStepsOfAdamAndAdamW) {
  for (const char* optimiser : {"adam", "adamw"}) {
    const train::RegressionOptions o{.batch = 50, .optimiser = optimiser, .learning_rate = 0.01, .weight_decay = 0.1};
    const double decay = o.optimiser == "adamw" ? 0.1 : 0.0;
    const models::AttentionOnly<float> model(train::model_of(o));
    const tasks::InContextRegression task({}, o.seed, tasks::Split::kTraining);
    std::vector<float> values = model.initial_values(o.seed), gradient(values.size()), tokens(50 * 20 * 4), answers(50);
    std::vector<double> mean(values.size()), square(values.size());
    train::RegressionTrainer trainer(o);
    for (int t = 1; t <= 4; ++t) {
      task.fill((t - 1) * o.batch, o.batch, tokens, answers);
      model.step(values, tokens, answers, std::span(gradient));
      trainer.advance();
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double g = gradient[i];
        mean[i] = 0.9 * mean[i] + 0.1 * g;
        square[i] = 0.999 * square[i] + 0.001 * g * g;
        const double size = std::sqrt(square[i] / (1.0 - std::pow(0.999, t))) + 1e-8;
        values[i] =
            static_cast<float>(values[i] * (1.0 - 0.01 * decay) - 0.01 / (1.0 - std::pow(0.9, t)) * mean[i] / size);
      }
      if (t < 4) continue;
      // The parameters that step 4 began with: those of the reference after three.
      const TemporaryFolder folder;
      write_checkpoint(trainer, folder.path() / "checkpoint");
      const Safetensors file(folder.path() / "checkpoint");
      for (const models::ParameterPlace& place : model.parameters()) {
        const std::vector<float> found = to_floats(*file.find(place.name));
        for (std::size_t i = 0; i < found.size(); ++i) {
          EXPECT_NEAR(found[i], values[static_cast<std::size_t>(place.first) + i], 1e-5) << optimiser << place.name;
        }
      }
    }
  }
}

TEST(RegressionTrainer, RefusesTheCheckpointOfAnotherModel) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "checkpoint";
  write_checkpoint(train::RegressionTrainer({.batch = 10}), path);
  train::RegressionTrainer normed({.qk_norm = "layer", .batch = 10});
  EXPECT_NE(complaint_of([&] { read_checkpoint(normed, path, 0); }).find("before.layer1.query_norm.gain is missing"),
            std::string::npos);
}

TEST(RegressionTrainer, StopsAtTheFirstNumberThatIsNotFinite) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "checkpoint" / "before_divergence.safetensors";
  const nlohmann::json result = run(exploding(), folder.path());
  ASSERT_EQ(result.at("diverged"), true) << result;
  const std::int64_t last = result.at("last_finite_step");
  EXPECT_EQ(result.at("steps"), last + 1);
  EXPECT_TRUE(std::isfinite(result.at("loss").get<double>()));
  const Safetensors file(path);
  EXPECT_EQ(file.metadata().at("step"), std::to_string(last));

  // The loss of the kept parameters on the last finite step's batch is that step's.
  const train::RegressionOptions o = exploding();
  const models::AttentionOnly<float> model(train::model_of(o));
  std::vector<float> values(static_cast<std::size_t>(model.parameter_count())), gradient(values.size());
  for (const models::ParameterPlace& place : model.parameters()) {
    const StoredTensor* found = file.find(place.name);
    ASSERT_NE(found, nullptr) << place.name;
    std::ranges::copy(to_floats(*found), values.begin() + place.first);
  }
  std::vector<float> tokens(static_cast<std::size_t>(o.batch * o.tokens * models::kTokenWidth)), answers(64);
  const tasks::InContextRegression task({}, o.seed, tasks::Split::kTraining);
  task.fill((last - 1) * o.batch, o.batch, tokens, answers);
  EXPECT_EQ(model.step(values, tokens, answers, std::span(gradient)).loss, result.at("loss").get<double>());

  // The log's last line is the step that was not finite.
  std::ifstream log(folder.path() / "metrics.jsonl");
  std::string line, before;
  for (std::string next; std::getline(log, next); line = next) before = line;
  EXPECT_EQ(nlohmann::json::parse(line).at("step"), last + 1);
  EXPECT_TRUE(nlohmann::json::parse(line).at("update_norm").is_null());
  EXPECT_EQ(nlohmann::json::parse(before).at("loss"), result.at("loss"));
}

TEST(RegressionTrainer, ThatDivergesAgainAfterACheckpointEndsWithTheSameBits) {
  const TemporaryFolder once, twice;
  run(exploding(), once.path());
  run(exploding(), twice.path());
  fs::remove(twice.path() / "result.json");  // killed before its result, after its last checkpoint
  run(exploding(), twice.path());
  for (const char* name :
       {"metrics.jsonl", "result.json", "checkpoint/last.safetensors", "checkpoint/before_divergence.safetensors"}) {
    EXPECT_TRUE(read_file(once.path() / name) == read_file(twice.path() / name)) << name;
  }
}

TEST(RegressionTrainer, LogsTheStatisticsUnderTheNamesOfEveryTraining) {
  const TemporaryFolder folder;
  run({.layer_form = "covariate", .layers = 2, .steps = 3, .batch = 20}, folder.path());
  std::ifstream log(folder.path() / "metrics.jsonl");
  std::string line;
  std::getline(log, line);
  const auto first = nlohmann::json::parse(line);
  for (const char* name : {"entropy", "entropy_deviation", "frobenius_norm", "maximum", "first_key", "logit_variance",
                           "skewness", "row_sum", "dead_rows"}) {
    ASSERT_TRUE(first.contains(name)) << name;
    ASSERT_EQ(first[name].size(), 2U) << name;
    EXPECT_EQ(first[name][0].size(), 1U) << name;
  }
}

TEST(RegressionOptions, RefusesWhatMakesNoSense) {
  const auto refusal = [](const train::RegressionOptions& options) { return complaint_of([&] { validate(options); }); };
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.steps = 0}), "number of steps must be positive, found 0");
  EXPECT_EQ(refusal({.batch = 0}), "batch must be positive, found 0");
  EXPECT_EQ(refusal({.learning_rate = 0.0}), "learning rate must be positive, found 0");
  EXPECT_EQ(refusal({.weight_decay = -0.1}), "AdamW's weight decay must be at least 0, found -0.1");
  EXPECT_NE(refusal({.optimiser = "adamv"}).find("known: adamw, adam, sgd"), std::string::npos);
  EXPECT_EQ(refusal({.momentum = 1.0}), "SGD's momentum must be in [0, 1), found 1");
  EXPECT_NE(refusal({.layer_form = "residuals"}).find("did you mean \"residual\"?"), std::string::npos);
  EXPECT_NE(refusal({.attention = "sofmax"}).find("softmax"), std::string::npos);
  EXPECT_EQ(refusal({.tokens = std::int64_t{1} << 40}), "attention-only model: 2147483647 tokens, expected 2 to 64");
}

}  // namespace
}  // namespace polariscope::testing
