// Steps and their checkpoints.
#include "polariscope/train/trainer.h"

#include "checkpoint_file.h"
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
  EXPECT_GT(first.gradient_norm, 0.0);
  EXPECT_GT(first.update_norm, 0.0);
  while (trainer.step() < trainer.steps()) trainer.advance();
  EXPECT_EQ(trainer.steps(), 40 * 8);  // seven batches of eight and one of four
  EXPECT_LT(trainer.loss(), 0.7 * first.loss);
}

TEST(Trainer, TakesAdamForAdamWWithoutDecay) {
  const testing::TemporaryFolder folder;
  for (const auto& [optimiser, decay] : {std::pair{"adam", 0.01}, {"adamw", 0.0}}) {
    train::TrainingOptions options = tiny();
    options.optimiser = optimiser;
    options.weight_decay = decay;
    train::Trainer trainer(options);
    while (trainer.step() < 5) trainer.advance();
    testing::write_checkpoint(trainer, folder.path() / optimiser);
  }
  EXPECT_TRUE(read_file(folder.path() / "adam") == read_file(folder.path() / "adamw"));
}

TEST(Trainer, GoesOnFromItsCheckpointWithTheSameBits) {
  for (const char* optimiser : {"adamw", "sgd"}) {
    const testing::TemporaryFolder folder;
    train::TrainingOptions options = tiny();
    options.optimiser = optimiser;
    options.momentum = 0.9;
    train::Trainer whole(options);
    while (whole.step() < 11) whole.advance();
    testing::write_checkpoint(whole, folder.path() / "whole");
    train::Trainer first(options);
    while (first.step() < 5) first.advance();  // in the middle of an epoch
    testing::write_checkpoint(first, folder.path() / "part");
    train::Trainer second(options);
    testing::read_checkpoint(second, folder.path() / "part", 5);
    EXPECT_EQ(second.step(), 5);
    EXPECT_EQ(second.loss(), first.loss());
    while (second.step() < 11) second.advance();
    testing::write_checkpoint(second, folder.path() / "resumed");
    EXPECT_EQ(read_file(folder.path() / "whole"), read_file(folder.path() / "resumed"));
  }
}

TEST(Trainer, RefusesTheCheckpointOfAnotherModel) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "checkpoint";
  train::Trainer trainer(tiny());
  trainer.advance();
  testing::write_checkpoint(trainer, path);
  const auto complaint = [&](const train::TrainingOptions& options) {
    train::Trainer other(options);
    return testing::complaint_of([&] { testing::read_checkpoint(other, path, 1); });
  };
  EXPECT_EQ(complaint(tiny()), "");
  train::TrainingOptions narrow = tiny(), other_optimiser = tiny();
  narrow.width = 8;
  other_optimiser.optimiser = "sgd";
  EXPECT_EQ(complaint(narrow), "its tensor pos_embedding.weight is missing or different");
  EXPECT_EQ(complaint(other_optimiser), "its tensor optimiser.velocity is missing or different");
  train::Checkpoint without_loss = trainer.checkpoint();
  write_safetensors(path, without_loss.tensors);
  EXPECT_EQ(complaint(tiny()), "it has no loss");
}

// Without LayerNorm SGD with this rate overflows in a few steps.
TEST(Trainer, LeavesEverythingAsItWasAtAStepThatIsNotFinite) {
  train::TrainingOptions options = tiny();
  options.layer_norm = false;
  options.optimiser = "sgd";
  options.momentum = 0.9;
  options.learning_rate = 1e9;
  const testing::TemporaryFolder folder;
  const auto bytes_of = [&](const train::Trainer& trainer) {
    testing::write_checkpoint(trainer, folder.path() / "checkpoint");
    return read_file(folder.path() / "checkpoint");
  };
  train::Trainer trainer(options);
  std::string before = bytes_of(trainer);
  train::StepRecord record = trainer.advance();
  while (std::isfinite(record.loss) && std::isfinite(record.gradient_norm)) {
    ASSERT_EQ(trainer.step(), record.step);
    ASSERT_NE(bytes_of(trainer), before);
    before = bytes_of(trainer);
    record = trainer.advance();
  }
  EXPECT_EQ(trainer.step(), record.step - 1);
  EXPECT_TRUE(std::isnan(record.update_norm));
  EXPECT_TRUE(bytes_of(trainer) == before);
  // The same numbers again: nothing of it was done.
  EXPECT_EQ(trainer.advance().step, record.step);
  EXPECT_TRUE(bytes_of(trainer) == before);
}

// The first loss is softmax1's, since s begins at 0; no later one is.
TEST(Trainer, OfALearnedSinkMovesItAndLeavesSoftmax1) {
  train::TrainingOptions options = tiny();
  options.attention = "sink";
  train::Trainer learned(options);
  options.attention = "softmax1";
  train::Trainer fixed(options);
  EXPECT_EQ(learned.advance().loss, fixed.advance().loss);
  const at::Tensor sink = learned.model().parameters().tensor("layers.0.sink");
  for (int step = 1; step < 4; ++step) {
    const at::Tensor before = sink.detach().clone();
    EXPECT_NE(learned.advance().loss, fixed.advance().loss) << "step " << step;
    EXPECT_TRUE((sink - before).ne(0).all().item<bool>()) << "step " << step;
  }
  EXPECT_FALSE(fixed.model().parameters().has("layers.0.sink"));
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
