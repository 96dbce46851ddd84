// A run's settings: complete, without what means nothing, and equal for equal runs.
#include "polariscope/runs/settings.h"

#include "support/complaint.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace polariscope {
namespace {

using runs::NamedValues;
using runs::Settings;
using testing::complaint_of;

std::string toml(const NamedValues& given) { return Settings(given).toml(); }
std::string refusal(const NamedValues& given) {
  return complaint_of([&] { Settings{given}; });
}

NamedValues of_task(const char* task, NamedValues more = {}) {
  more.insert(more.begin(), {"task", std::string(task)});
  return more;
}

TEST(Settings, OfInductionAreThePapersWhereNothingIsGiven) {
  EXPECT_EQ(toml({}),
            "task = \"induction\"\nvocabulary = 50\nsequence-length = 13\nshift-query-token = false\n"
            "auxiliary-loss = 0.2\ntraining-sequences = 100000\nevaluation-sequences = 1000\nattention = \"softmax\"\n"
            "positions = \"concat\"\nlayers = 2\nheads = 4\nwidth = 128\nmlp = true\nlayer-norm = true\n"
            "optimiser = \"adamw\"\nlearning-rate = 0.001\nweight-decay = 0.01\nrescue = \"no\"\nrescues = 3\nepochs = "
            "10\nbatch = 256\nseed = 0\n");
}

TEST(Settings, OfTokenGroupsAreThePapersWithoutWhatMeansNothingToThem) {
  EXPECT_EQ(toml(of_task("token-groups")),
            "task = \"token-groups\"\nvocabulary = 81\nsequence-length = 10\ntraining-sequences = 10000\n"
            "evaluation-sequences = 1000\nattention = \"softmax\"\npositions = \"no\"\nlayers = 2\nheads = 4\n"
            "width = 128\nmlp = true\nlayer-norm = true\noptimiser = \"adamw\"\nlearning-rate = 0.001\n"
            "weight-decay = 0.01\nrescue = \"no\"\nrescues = 3\nepochs = 10\nbatch = 256\nseed = 0\n");
}

TEST(Settings, OfInContextRegressionAreTheOtherPapers) {
  EXPECT_EQ(toml(of_task("in-context-regression")),
            "task = \"in-context-regression\"\nsequence-length = 20\nattention = \"softmax\"\nlayers = 5\n"
            "layer-form = \"residual\"\nqk-norm = \"no\"\ncausal = false\noptimiser = \"sgd\"\nlearning-rate = "
            "0.7\nmomentum = 0.8\nrescue = \"no\"\nrescues = 3\n"
            "steps = 10000\nbatch = 4000\nseed = 0\n");
}

TEST(Settings, SayMomentumOfSgdAndDecayOfAdamW) {
  const std::string sgd = toml({{"optimiser", "sgd"}, {"momentum", 0.9}});
  EXPECT_NE(sgd.find("learning-rate = 0.001\nmomentum = 0.9\nrescue"), std::string::npos) << sgd;
  EXPECT_NE(toml({{"optimiser", "sgd"}}).find("\nmomentum = 0\n"), std::string::npos);
}

TEST(Settings, AreEqualForEqualRuns) {
  EXPECT_EQ(toml({{"vocabulary", 50}, {"positions", "concat"}, {"seed", 0}}), toml({}));
  EXPECT_EQ(toml({{"vocabulary", 0}, {"sequence_length", 0}, {"training_sequences", 0}}), toml({}));
  EXPECT_EQ(toml({{"momentum", 0.0}}), toml({}));
  EXPECT_EQ(toml({{"threads", 3}, {"checkpoint_every", 1.0}, {"on_alarm", "stop"}}), toml({}));
  EXPECT_NE(toml({{"seed", 1}}), toml({}));
}

TEST(Settings, SayTheFactorOfARunThatIsRescuedByIt) {
  EXPECT_NE(
      toml({{"rescue", "lower"}, {"rescues", 2}}).find("\nrescue = \"lower\"\nrescue-factor = 0.5\nrescues = 2\n"),
      std::string::npos);
  for (const char* rescue : {"no", "skip"}) {
    EXPECT_EQ(toml({{"rescue", rescue}}).find("rescue-factor"), std::string::npos);
    EXPECT_NE(complaint_of([&] { runs::Settings({{"rescue", rescue}, {"rescue_factor", 0.3}}); }), "");
  }
}

TEST(Settings, RefuseByNameWhatHasNoMeaningForTheTask) {
  EXPECT_EQ(refusal(of_task("token-groups", {{"auxiliary_loss", 0.2}})),
            "auxiliary-loss has no meaning for token-groups, only for induction: leave it out");
  EXPECT_EQ(refusal(of_task("token-groups", {{"shift_query_token", false}})),
            "shift-query-token has no meaning for token-groups, only for induction: leave it out");
  EXPECT_EQ(refusal(of_task("in-context-regression", {{"heads", 2}})),
            "heads has no meaning for in-context-regression, only for induction and token-groups: leave it out");
  EXPECT_EQ(refusal({{"steps", 5}}),
            "steps has no meaning for induction, only for in-context-regression and language-model: leave it out");
}

TEST(Settings, RefuseByNameWhatHasNoMeaningWithTheOptimiser) {
  EXPECT_EQ(refusal({{"optimiser", "sgd"}, {"weight_decay", 0.01}}),
            "weight-decay has no meaning without optimiser adamw, it is 0 then: leave it out");
  EXPECT_EQ(refusal({{"momentum", 0.9}}), "momentum has no meaning without optimiser sgd, it is 0 then: leave it out");
  EXPECT_EQ(refusal(of_task("in-context-regression", {{"weight_decay", 0.01}})),
            "weight-decay has no meaning without optimiser adamw, it is 0 then: leave it out");
  EXPECT_EQ(refusal({{"optimiser", "adam"}, {"weight_decay", 0.01}}),
            "weight-decay has no meaning without optimiser adamw, it is 0 then: leave it out");
}

// So that one grid can hold both optimisers.
TEST(Settings, TakeOfAnOptionWithoutMeaningTheValueThatItHasThere) {
  EXPECT_EQ(refusal({{"optimiser", "sgd"}, {"weight_decay", 0.0}}), "");
  EXPECT_EQ(refusal({{"optimiser", "adamw"}, {"momentum", 0.0}}), "");
  EXPECT_EQ(refusal(of_task("in-context-regression", {{"optimiser", "sgd"}})), "");
}

TEST(Settings, RefuseWithTheNameThatTheUserKnows) {
  EXPECT_TRUE(complaint_of([] { Settings({{"momentum", 0.9}}, runs::flag_of); }).starts_with("--momentum has"));
}

// A table of every option's other value: whatever means something is written, read back and the same.
TEST(Settings, AreWhatTheirOwnTextSays) {
  for (const std::string_view task : runs::find_option(runs::options(), "task")->choices) {
    NamedValues given = of_task(std::string(task).c_str());
    for (const runs::Option& option : runs::defining_options()) {
      const runs::OptionDefault* usual = runs::default_of(option, task);
      if (option.name == "task" || usual == nullptr || option.only_with) continue;
      given.push_back({std::string(option.name), usual->value});
    }
    const Config config = Config::parse(toml(given), "config.toml");
    NamedValues again;
    for (const auto& [key, entry] : config.entries()) {
      const auto option =
          std::ranges::find_if(runs::options(), [&](const runs::Option& o) { return key_of(o) == key; });
      again.push_back({std::string(option->name), runs::checked(*option, entry.value, key)});
    }
    EXPECT_EQ(toml(again), toml(given)) << task;
    EXPECT_EQ(toml(again), toml(of_task(std::string(task).c_str())));
  }
}

TEST(Settings, GiveTheirValuesByNameAndNoneOfWhatMeansNothing) {
  const Settings settings(of_task("token-groups", {{"batch", 32}}));
  EXPECT_EQ(settings.get<std::string>("task"), "token-groups");
  EXPECT_EQ(settings.get<std::int64_t>("batch"), 32);
  EXPECT_EQ(settings.get<std::uint64_t>("seed"), 0U);
  EXPECT_EQ(settings.get<bool>("mlp"), true);
  EXPECT_EQ(settings.get<double>("momentum"), 0.0);
  double auxiliary = -1.0;
  settings.read("auxiliary_loss", auxiliary);
  EXPECT_EQ(auxiliary, -1.0);
  EXPECT_THROW(settings.get<double>("learning-rate"), std::logic_error);
}

}  // namespace
}  // namespace polariscope
