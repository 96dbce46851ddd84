// Steps and their checkpoints.
#include "polariscope/train/trainer.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

namespace polariscope {
namespace {

namespace fs = std::filesystem;

train::TrainingOptions tiny() {
  return {.training_sequences = 60, .layers = 1, .heads = 2, .width = 16, .epochs = 2, .batch = 8};
}

TEST(Trainer, LowersTheLossAndRecordsEveryHead) {
  train::TrainingOptions options = tiny();
  options.epochs = 40;
  options.learning_rate = 1e-2;
  train::Trainer trainer(options);
  EXPECT_TRUE(std::isnan(trainer.loss()));
  const train::StepRecord first = trainer.advance();
  EXPECT_EQ(first.step, 1);
  ASSERT_EQ(first.layers.size(), 1U);
  EXPECT_EQ(first.layers[0].entropy.size(), 2U);
  EXPECT_GT(first.norms.gradient, 0.0);
  EXPECT_GT(first.norms.update, 0.0);
  while (trainer.step() < trainer.steps()) trainer.advance();
  EXPECT_EQ(trainer.steps(), 40 * 8);  // seven batches of eight and one of four
  EXPECT_LT(trainer.loss(), 0.7 * first.loss);
}

TEST(Trainer, GoesOnFromItsCheckpointWithTheSameBits) {
  for (const char* optimiser : {"adamw", "sgd"}) {
    const testing::TemporaryFolder folder;
    train::TrainingOptions options = tiny();
    options.optimiser = optimiser;
    options.momentum = 0.9;
    train::Trainer whole(options);
    while (whole.step() < 11) whole.advance();
    whole.write_checkpoint(folder.path() / "whole");
    train::Trainer first(options);
    while (first.step() < 5) first.advance();  // in the middle of an epoch
    first.write_checkpoint(folder.path() / "part");
    train::Trainer second(options);
    second.read_checkpoint(folder.path() / "part");
    EXPECT_EQ(second.step(), 5);
    EXPECT_EQ(second.loss(), first.loss());
    while (second.step() < 11) second.advance();
    second.write_checkpoint(folder.path() / "resumed");
    EXPECT_EQ(read_file(folder.path() / "whole"), read_file(folder.path() / "resumed"));
  }
}

TEST(Trainer, RefusesWhatIsNoCheckpointOfItsRun) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "last.safetensors";
  train::Trainer trainer(tiny());
  trainer.advance();
  trainer.write_checkpoint(path);
  const std::string good = read_file(path);
  const auto complaint_about = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return testing::complaint_of([&] { trainer.read_checkpoint(path); });
  };
  EXPECT_EQ(complaint_about(good), "");
  for (const std::string& bytes : {std::string(), good.substr(0, 7), good.substr(0, good.size() / 2), good + "x"}) {
    EXPECT_NE(complaint_about(bytes).find(path.string()), std::string::npos) << bytes.size();
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    bytes.replace(bytes.find(from), from.size(), to);
    return complaint_about(bytes);
  };
  const std::string no_step = path.string() + " is no checkpoint of this run: it is of no step from 0 to 16";
  EXPECT_EQ(with("\"step\":\"1\"", "\"stop\":\"1\""), no_step);
  EXPECT_EQ(with("\"step\":\"1\"", "\"step\":\"x\""), no_step);
  EXPECT_NE(with("embedding.weight", "imbedding.weight").find("is missing or different"), std::string::npos);
  train::TrainingOptions other = tiny();
  other.width = 8;
  std::ofstream(path, std::ios::binary) << good;
  EXPECT_NE(testing::complaint_of([&] { train::Trainer(other).read_checkpoint(path); }).find("is missing or different"),
            std::string::npos);
}

TEST(Trainer, RefusesOptionsThatMakeNoSense) {
  train::TrainingOptions options = tiny();
  options.heads = 3;
  EXPECT_EQ(testing::complaint_of([&] { train::Trainer{options}; }), "heads must divide the width 16, found 3 heads");
  options = tiny();
  options.learning_rate = -1.0;
  EXPECT_EQ(testing::complaint_of([&] { train::Trainer{options}; }),
            "AdamW's learning rate must be positive, found -1");
}

}  // namespace
}  // namespace polariscope
