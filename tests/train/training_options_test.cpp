// What a run is asked for, and what is refused.
#include "polariscope/train/training_options.h"

#include "polariscope/train/task_batches.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>

namespace polariscope {
namespace {

std::string complaint(const std::function<void(train::TrainingOptions&)>& change) {
  train::TrainingOptions options;
  change(options);
  return testing::complaint_of([&] { train::completed(options); });
}

TEST(TrainingOptions, OfInductionAreThePapers) {
  const train::TrainingOptions o = train::completed({});
  EXPECT_EQ(o.vocabulary, 50);
  EXPECT_EQ(o.sequence_length, 13);
  EXPECT_EQ(o.training_sequences, 100'000);
  EXPECT_EQ(o.positions, "concat");
  EXPECT_EQ(train::steps_per_epoch(o), 391);
}

TEST(TrainingOptions, OfTokenGroupsAreThePapers) {
  const train::TrainingOptions o = train::completed({.task = "token-groups"});
  EXPECT_EQ(o.vocabulary, 81);
  EXPECT_EQ(o.sequence_length, 10);
  EXPECT_EQ(o.training_sequences, 10'000);
  EXPECT_EQ(o.positions, "no");
}

TEST(TrainingOptions, ThatMakeNoSenseAreRefusedInOneSentence) {
  EXPECT_EQ(complaint([](auto& o) { o.batch = 0; }), "batch must be positive, found 0");
  EXPECT_EQ(complaint([](auto& o) { o.epochs = -1; }), "number of epochs must be positive, found -1");
  EXPECT_EQ(complaint([](auto& o) { o.vocabulary = -2; }), "vocabulary must be positive, found -2");
  EXPECT_EQ(complaint([](auto& o) { o.sequence_length = -2; }), "sequence length must be positive, found -2");
  EXPECT_EQ(complaint([](auto& o) { o.training_sequences = -2; }),
            "number of training sequences must be positive, found -2");
  EXPECT_EQ(complaint([](auto& o) { o.evaluation_sequences = 0; }),
            "number of evaluation sequences must be positive, found 0");
  EXPECT_EQ(complaint([](auto& o) { o.auxiliary_loss = std::nan(""); }),
            "auxiliary loss must be at least 0, found nan");
  EXPECT_NE(complaint([](auto& o) { o.task = "inducton"; }).find("induction"), std::string::npos);
  EXPECT_NE(complaint([](auto& o) { o.optimiser = "adam"; }).find("adamw"), std::string::npos);
  EXPECT_EQ(complaint([](auto& o) {
              o.task = "token-groups";
              o.shift_query_token = true;
            }),
            "shift-query-token is of the induction task, not of token-groups");
}

TEST(TrainingOrder, IsAPermutationThatSeedAndEpochDecide) {
  const std::vector<std::int64_t> order = train::shuffled(1000, 1, 0);
  EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 1000U);
  EXPECT_EQ(order, train::shuffled(1000, 1, 0));
  EXPECT_NE(order, train::shuffled(1000, 1, 1));
  EXPECT_NE(order, train::shuffled(1000, 2, 0));
  EXPECT_TRUE(train::shuffled(0, 1, 0).empty());
}

}  // namespace
}  // namespace polariscope
