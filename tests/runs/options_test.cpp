// The table of options: every row is whole, and a value is what its kind says.
#include "polariscope/runs/options.h"

#include "polariscope/reweighting/attention_form.h"
#include "polariscope/runs/alarms.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace polariscope {
namespace {

using runs::Option;
using runs::OptionKind;
using testing::complaint_of;

const Option& option(std::string_view name) { return *runs::find_option(runs::options(), name); }

ConfigValue typed(std::string_view name, std::string_view text) {
  return runs::value_of(option(name), text, runs::flag_of(option(name)));
}

std::string refusal(std::string_view name, std::string_view text) {
  return complaint_of([&] { typed(name, text); });
}

bool speaks_of(const std::string& sentence, const std::string& part) {
  return sentence.find(part) != std::string::npos;
}

TEST(Options, HaveEachAPlainNameOfTheirOwnAHelpAndADefault) {
  std::set<std::string_view> names;
  for (const Option& row : runs::options()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(row.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string_view::npos) << row.name;
    EXPECT_FALSE(row.help.empty()) << row.name;
    EXPECT_FALSE(row.defaults.empty()) << row.name;
  }
}

TEST(Options, HaveDefaultsOfTasksThatThereAreWhichTheOptionItselfTakes) {
  const std::vector<std::string_view>& tasks = option("task").choices;
  for (const Option& row : runs::options()) {
    std::set<std::string_view> met;
    for (const runs::OptionDefault& one : row.defaults) {
      EXPECT_TRUE(met.insert(one.task).second) << row.name << " " << one.task;
      const bool known = one.task == runs::kEveryTask || std::ranges::find(tasks, one.task) != tasks.end();
      EXPECT_TRUE(known) << row.name << " " << one.task;
      EXPECT_EQ(runs::checked(row, one.value, row.name), one.value) << row.name;
    }
  }
}

TEST(Options, HaveConditionsOnOptionsThatThereAre) {
  for (const Option& row : runs::options()) {
    if (!row.only_with) continue;
    const Option* other = runs::find_option(runs::options(), row.only_with->option);
    ASSERT_NE(other, nullptr) << row.name;
    EXPECT_EQ(runs::checked(*other, row.only_with->value, row.name), row.only_with->value) << row.name;
    EXPECT_EQ(runs::checked(row, row.only_with->otherwise, row.name), row.only_with->otherwise) << row.name;
  }
}

TEST(Options, ThatDefineARunComeBeforeThoseOfItsExecution) {
  const std::size_t defining = runs::defining_options().size();
  EXPECT_LT(defining, runs::options().size());
  for (std::size_t i = 0; i < runs::options().size(); ++i) {
    EXPECT_EQ(runs::options()[i].group == runs::OptionGroup::kExecution, i >= defining) << runs::options()[i].name;
  }
}

TEST(Options, NameTheAttentionsOfTheTableAndTheWaysToMeetAnAlarm) {
  for (const std::string_view name : option("attention").choices) reweighting::find_attention_form(name);
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) typed("attention", form.name);
  for (const std::string_view name : option("on_alarm").choices) runs::find_on_alarm(name);
}

TEST(Options, ReadWhatIsTypedByTheirKind) {
  EXPECT_EQ(typed("batch", "1e3"), ConfigValue(std::int64_t{1000}));
  EXPECT_EQ(typed("learning_rate", "1e-3"), ConfigValue(0.001));
  EXPECT_EQ(typed("momentum", "-0"), ConfigValue(0.0));
  EXPECT_FALSE(std::signbit(std::get<double>(typed("momentum", "-0"))));
  EXPECT_EQ(typed("mlp", "false"), ConfigValue(false));
  EXPECT_EQ(typed("positions", "no"), ConfigValue(std::string("no")));
  const Option free{.name = "file", .kind = OptionKind::kText, .defaults = {{runs::kEveryTask, ""}}, .help = "Any"};
  EXPECT_EQ(runs::value_of(free, "1e3", "--file"), ConfigValue(std::string("1e3")));
  EXPECT_EQ(runs::value_of(free, "true", "--file"), ConfigValue(std::string("true")));
}

TEST(Options, RefuseAValueOfAnotherKindInOneSentence) {
  EXPECT_EQ(refusal("batch", "many"), "--batch is \"many\": it must be a whole number of 1 to 10000000");
  EXPECT_EQ(refusal("batch", ""), "--batch is \"\": it must be a whole number of 1 to 10000000");
  EXPECT_EQ(refusal("batch", "8x"), "--batch is \"8x\": it must be a whole number of 1 to 10000000");
  EXPECT_EQ(refusal("batch", "2.5"), "--batch is 2.5: it must be a whole number of 1 to 10000000");
  EXPECT_EQ(refusal("mlp", "yes"), "--mlp is \"yes\": it must be true or false");
  EXPECT_EQ(refusal("mlp", "1"), "--mlp is \"1\": it must be true or false");
  EXPECT_EQ(refusal("positions", "rotary"), "--positions: unknown positions \"rotary\" (known: concat, add, no)");
  const auto held = [](const char* name, const ConfigValue& value) {
    return complaint_of([&] { runs::checked(option(name), value, name); });
  };
  EXPECT_EQ(held("positions", true), "positions holds a boolean, expected a string");
  EXPECT_EQ(held("mlp", 1.0), "mlp holds a number, expected true or false");
  EXPECT_EQ(held("seed", std::string("1")), "seed holds a string, expected a whole number of at least 0");
}

TEST(Options, RefuseNumbersThatNoTrainingCanHave) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Option& row : runs::options()) {
    if (row.kind != OptionKind::kWhole && row.kind != OptionKind::kNumber) continue;
    for (const double number : {-1.0, kInfinity, -kInfinity, std::nan(""), 1e300}) {
      const std::string sentence = complaint_of([&] { runs::checked(row, number, row.name); });
      EXPECT_TRUE(speaks_of(sentence, "it must be")) << row.name << " " << number;
    }
  }
  EXPECT_EQ(refusal("checkpoint_every", "nan"),
            "--checkpoint-every is nan: it must be a finite number of 0 to 1000000000");
  EXPECT_EQ(refusal("learning_rate", "0"),
            "--learning-rate is 0: it must be a finite number above 0 and at most 1e+30");
  EXPECT_EQ(refusal("momentum", "1"), "--momentum is 1: it must be a finite number of at least 0 and below 1");
  EXPECT_EQ(refusal("seed", "9223372036854775807"),
            "--seed is 9.223372036854776e+18: it must be at most 9000000000000000");
  EXPECT_EQ(refusal("seed", "-1"), "--seed is -1: it must be a whole number of at least 0");
  EXPECT_EQ(refusal("width", "1e9"), "--width is 1000000000: it must be a whole number of 1 to 1000000");
}

TEST(Options, TakeZeroForATasksDefaultWhereTheySaySo) {
  EXPECT_EQ(typed("vocabulary", "0"), ConfigValue(std::int64_t{0}));
  EXPECT_TRUE(speaks_of(refusal("vocabulary", "-1"), "or 0 for the task's default"));
  EXPECT_TRUE(speaks_of(refusal("epochs", "0"), "of 1 to"));
}

TEST(Options, AreATableForPeople) {
  const auto rows = runs::option_table();
  ASSERT_EQ(rows.size(), runs::options().size() + 1);
  const auto row = [&](std::string_view flag) {
    return *std::ranges::find_if(rows, [&](const auto& cells) { return cells.front() == flag; });
  };
  EXPECT_EQ(row("--layers")[2], "2 (induction, token-groups), 5 (in-context-regression)");
  EXPECT_EQ(row("--heads")[2], "4 (induction, token-groups)");
  EXPECT_EQ(row("--vocabulary")[2], "50 (induction), 81 (token-groups)");
  EXPECT_EQ(row("--optimiser")[1], "adamw, adam, sgd");
  EXPECT_EQ(row("--optimiser")[2], "adamw, sgd (in-context-regression)");
  EXPECT_TRUE(row("--weight-decay")[3].ends_with("; only with optimiser adamw"));
}

}  // namespace
}  // namespace polariscope
