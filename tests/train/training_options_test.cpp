// What a run is asked for, and what is refused.
#include "polariscope/train/training_options.h"

#include "polariscope/runs/run_options.h"
#include "polariscope/runs/settings.h"
#include "polariscope/train/regression_options.h"
#include "polariscope/train/task_batches.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <variant>

namespace polariscope {
namespace {

std::string complaint(const std::function<void(train::TrainingOptions&)>& change) {
  train::TrainingOptions options;
  change(options);
  return testing::complaint_of([&] { train::completed(options); });
}

ConfigValue other_value(const runs::Option& option, const ConfigValue& usual) {
  if (const auto* truth = std::get_if<bool>(&usual)) return !*truth;
  if (const auto* whole = std::get_if<std::int64_t>(&usual)) return *whole + 1;
  if (const auto* number = std::get_if<double>(&usual)) return 0.5 * *number + 0.01;
  const auto other =
      std::ranges::find_if(option.choices, [&](auto name) { return ConfigValue(std::string(name)) != usual; });
  return std::string(*other);
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
  EXPECT_NE(complaint([](auto& o) { o.optimiser = "adamx"; }).find("adamw"), std::string::npos);
  EXPECT_EQ(complaint([](auto& o) {
              o.task = "token-groups";
              o.shift_query_token = true;
            }),
            "shift-query-token is of the induction task, not of token-groups");
}

// The table and the struct say the same, whichever way options come.
TEST(TrainingOptions, OfTheTableAreThoseOfTheStruct) {
  for (const char* name : {"induction", "token-groups"}) {
    const std::string task = name;
    EXPECT_EQ(train::training_options(runs::Settings({{"task", task}})), train::completed({.task = task}));
  }
}

// An option that reached no struct would be taken in silence.
TEST(TrainingOptions, ChangeWithEveryOptionOfTheTable) {
  for (const char* name : {"induction", "token-groups", "in-context-regression"}) {
    const std::string task = name;
    for (const runs::Option& option : runs::defining_options()) {
      const runs::OptionDefault* usual = runs::default_of(option, task);
      if (option.name == "task" || usual == nullptr) continue;
      runs::NamedValues given{{"task", task}};
      if (option.only_with) {
        const auto& [needed, value, otherwise] = *option.only_with;
        given.push_back({std::string(needed), value});
        if (!runs::objection(runs::options(), *runs::find_option(runs::options(), needed), value, given).empty())
          continue;
      }
      runs::NamedValues other = given;
      other.push_back({std::string(option.name), other_value(option, usual->value)});
      if (!runs::objection(runs::options(), option, other.back().value, other).empty()) continue;
      const runs::Settings settings(given), changed(other);
      if (runs::run_options(changed).rescue != runs::run_options(settings).rescue) continue;  // the loop's
      if (task == "in-context-regression") {
        EXPECT_FALSE(train::regression_options(changed) == train::regression_options(settings)) << option.name;
      } else {
        EXPECT_FALSE(train::training_options(changed) == train::training_options(settings)) << option.name;
      }
    }
  }
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
