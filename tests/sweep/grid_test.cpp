#include "polariscope/sweep/grid.h"

#include "polariscope/base/error.h"
#include "polariscope/sweep/shipped_grids.h"
#include "support/complaint.h"
#include "sweeps.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

namespace polariscope {
namespace {

using testing::kFakeOptions;

sweep::Grid parse(const std::string& toml) { return sweep::Grid::parse(toml, "grid.toml", kFakeOptions); }

std::vector<std::string> configs(const sweep::Grid& grid) {
  std::vector<std::string> texts;
  for (const sweep::GridRun& run : grid.runs()) texts.push_back(grid.config_of(run));
  return texts;
}

std::string values_of(const std::string& toml) { return parse(toml).text(); }

TEST(Grid, CountsThroughItsAxesInTheOrderOfTheFileTheLastOneFastest) {
  const sweep::Grid grid = parse("x = [2, 0.5]\nmilliseconds = 7\nbehaviour = [\"nan\", \"crash\"]\n");
  EXPECT_EQ(configs(grid), (std::vector<std::string>{
                               "x = 2.0\nmilliseconds = 7\nbehaviour = \"nan\"\n",
                               "x = 2.0\nmilliseconds = 7\nbehaviour = \"crash\"\n",
                               "x = 0.5\nmilliseconds = 7\nbehaviour = \"nan\"\n",
                               "x = 0.5\nmilliseconds = 7\nbehaviour = \"crash\"\n",
                           }));
  EXPECT_EQ(grid.json_of(grid.runs()[3]), R"({"x":0.5,"milliseconds":7,"behaviour":"crash"})");
  EXPECT_EQ(grid.runs()[3].number, 4);
}

TEST(Grid, TakesRangesByStepAndByFactorWithBothEnds) {
  EXPECT_EQ(values_of("seed = { from = 0, to = 4 }"), "seed = [0, 1, 2, 3, 4]\n");
  EXPECT_EQ(values_of("seed = { from = 8, to = 2, step = -3 }"), "seed = [8, 5, 2]\n");
  EXPECT_EQ(values_of("seed = { from = 1, to = 9, factor = 2 }"), "seed = [1, 2, 4, 8]\n");
  EXPECT_EQ(values_of("x = { from = 0.1, to = 0.3, step = 0.1 }"), "x = [0.1, 0.2, 0.3]\n");
  EXPECT_EQ(values_of("x = { from = 1e-2, to = 1e-4, factor = 0.1 }"), "x = [0.01, 0.001, 0.0001]\n");
  EXPECT_EQ(values_of("x = { from = 3, to = 3 }"), "x = 3.0\n");
}

TEST(Grid, ReadsWholeNumbersHoweverTheyAreWritten) { EXPECT_EQ(values_of("seed = [1e5, 7]"), "seed = [100000, 7]\n"); }

TEST(Grid, LeavesOutWhatEverySettingOfASkipFits) {
  const sweep::Grid grid = parse(
      "seed = [1, 2, 3]\nx = [0, 1]\n"
      "[[skip]]\nseed = [1, 2]\nx = 1\n[[skip]]\nseed = 3\n");
  EXPECT_EQ(configs(grid), (std::vector<std::string>{"seed = 1\nx = 0.0\n", "seed = 2\nx = 0.0\n"}));
  EXPECT_EQ(grid.runs()[1].number, 2);
}

TEST(Grid, ItsTextIsTheSameGrid) {
  const sweep::Grid grid =
      parse("seed = { from = 1, to = 3 }\nx = [0, 1e-7]\nbehaviour = 'nan'\n[[skip]]\nx = 0\nseed = [2, 3]");
  const sweep::Grid again = parse(grid.text());
  EXPECT_EQ(grid.text(), again.text());
  EXPECT_EQ(configs(grid), configs(again));
}

struct Malformed {
  std::string toml;
  std::vector<std::string> words;
};

TEST(Grid, RefusesWhatIsMalformedWithLineAndKey) {
  const std::vector<Malformed> all{
      {"seed = 1\nx = [1, 2", {"line 2", "not TOML"}},
      {"seed = 1\nseed = 2", {"line 2", "not TOML"}},
      {"sed = 1", {"line 1", "unknown setting \"sed\"", "did you mean \"seed\"?"}},
      {"seed = 1\nmodel.x = 3", {"line 2", "unknown setting \"model\""}},
      {"seed = 1\n\nbehaviour = \"nann\"", {"line 3", "unknown behaviour \"nann\"", "\"nan\""}},
      {"behaviour = [\"nan\", 3]", {"line 1", "behaviour holds a number, expected a string"}},
      {"seed = \"one\"", {"seed holds a string, expected a whole number"}},
      {"seed = true", {"seed holds a boolean"}},
      {"seed = 1.5", {"seed is 1.5", "whole number of at least 0"}},
      {"seed = -1", {"seed is -1"}},
      {"seed = [1, [2]]", {"seed holds a list"}},
      {"x = nan", {"x is nan", "finite"}},
      {"x = [1.0, inf]", {"x is inf"}},
      {"x = 1979-05-27", {"x holds a date or time"}},
      {"seed = []", {"seed is an empty list"}},
      {"seed = [1,\n 2,\n 1]", {"line 3", "seed lists 1 twice"}},
      {"x = [1, 1.0]", {"x lists 1.0 twice"}},
      {"seed = { from = 1 }", {"seed: a range needs from and to"}},
      {"seed = { from = 1, to = 3, stp = 2 }", {"seed", "unknown part of a range \"stp\"", "\"step\""}},
      {"seed = { from = 1, to = \"3\" }", {"seed: to holds a string, expected a number"}},
      {"seed = { from = 1, to = 3, step = 1, factor = 2 }", {"seed", "a step or a factor"}},
      {"seed = { from = 3, to = 1 }", {"seed", "from 3 does not reach 1"}},
      {"x = { from = 1, to = 2, step = 0 }", {"x", "more than 99999 values"}},
      {"x = { from = 1, to = 2, factor = 1 }", {"x"}},
      {"x = { from = -1, to = 2, factor = 2 }", {"x", "does not reach"}},
      {"x = { from = 1, to = 2e9 }", {"x", "more than 99999 values"}},
      {"seed = { from = 0, to = 1, step = 0.5 }", {"seed is 0.5"}},
      {"behaviour = { from = 1, to = 2 }", {"behaviour has a range, expected a string"}},
      {"skip = 3\nseed = 1", {"line 1", "skip is a number, expected [[skip]]"}},
      {"seed = 1\n[[skip]]\nx = 3", {"line 3", "skip names x, which the grid does not set"}},
      {"seed = [1, 2]\n[[skip]]\nseed = 3", {"line 3", "skip names seed = 3, which no run of the grid has"}},
      {"seed = 1\n[[skip]]\nsed = 3", {"line 3", "unknown setting \"sed\""}},
      {"seed = 1\n[[skip]]", {"line 2", "names no setting"}},
      {"seed = 1\n[[skip]]\nseed = 1", {"no runs"}},
      {"", {"sets nothing"}},
      {"[[skip]]", {"line 1"}},
      {"seed = { from = 1, to = 400 }\nx = { from = 1, to = 400 }", {"more than 99999 runs"}},
      {"seed = { from = 1, to = 40000 }\nx = { from = 1, to = 40000 }", {"1.6e+09 points"}},
  };
  for (const Malformed& malformed : all) {
    SCOPED_TRACE(malformed.toml);
    try {
      parse(malformed.toml);
      ADD_FAILURE() << "was not refused";
    } catch (const Error& error) {
      const std::string sentence = error.what();
      EXPECT_TRUE(sentence.starts_with("grid.toml")) << sentence;
      EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
      for (const std::string& word : malformed.words) EXPECT_NE(sentence.find(word), std::string::npos) << sentence;
    }
  }
}

sweep::Grid of_trainings(const std::string& toml) {
  return sweep::Grid::parse(toml, "grid.toml", runs::defining_options());
}

TEST(GridsOfTrainings, TakeEveryOptionThatSaysWhatARunIs) {
  for (const runs::Option& option : runs::defining_options()) {
    const runs::OptionDefault& first = option.defaults.front();
    std::string toml = fmt::format("{} = {}\n", option.name, toml_text(first.value));
    if (first.task != runs::kEveryTask) toml += fmt::format("task = \"{}\"\n", first.task);
    EXPECT_EQ(of_trainings(toml).runs().size(), 1U) << toml;
  }
}

TEST(GridsOfTrainings, TakeNoOptionOfHowARunIsDone) {
  for (const runs::Option& option : runs::options().subspan(runs::defining_options().size())) {
    const std::string toml = fmt::format("{} = {}\n", option.name, toml_text(option.defaults.front().value));
    EXPECT_NE(testing::complaint_of([&] { of_trainings(toml); }).find("unknown setting"), std::string::npos) << toml;
  }
}

TEST(GridsOfTrainings, RefuseASettingWithoutMeaningInOneOfTheRuns) {
  const auto refusal = [](const std::string& toml) { return testing::complaint_of([&] { of_trainings(toml); }); };
  EXPECT_EQ(
      refusal("optimiser = \"sgd\"\nweight_decay = [0.0, 0.1]\n"),
      "grid.toml, line 2: weight_decay has no meaning without optimiser adamw, it is 0 then: leave it out, or such "
      "runs with [[skip]]");
  EXPECT_EQ(
      refusal("momentum = [0.0, 0.9]\noptimiser = [\"sgd\", \"adamw\"]\n"),
      "grid.toml, line 1: momentum has no meaning without optimiser sgd, it is 0 then: leave it out, or such runs "
      "with [[skip]]");
  EXPECT_EQ(
      refusal("task = \"token-groups\"\nseed = 1\nauxiliary_loss = [0.0, 0.2]\n"),
      "grid.toml, line 3: auxiliary_loss has no meaning for token-groups, only for induction: leave it out, or such "
      "runs with [[skip]]");
  EXPECT_EQ(refusal("steps = [10, 20]\n"),
            "grid.toml, line 1: steps has no meaning for induction, only for in-context-regression and language-model: "
            "leave it out, or such runs with [[skip]]");
  EXPECT_NE(refusal("task = \"in-context-regression\"\noptimiser = \"adamw\"\nmomentum = 0.8\n")
                .find("line 3: momentum has no meaning without optimiser sgd"),
            std::string::npos);
  EXPECT_NE(refusal("epochs = [0, 1]\n").find("line 1: epochs is 0: it must be a whole number of 1 to"),
            std::string::npos);
  EXPECT_NE(refusal("learning_rate = [0.0, 0.1]\n").find("learning_rate is 0: it must be"), std::string::npos);
}

TEST(GridsOfTrainings, HoldBothOptimisersWithWhatEachOfThemKnows) {
  EXPECT_EQ(of_trainings("optimiser = [\"adamw\", \"sgd\"]\nweight_decay = [0.0, 0.01]\nmomentum = [0.0, 0.9]\n"
                         "[[skip]]\noptimiser = \"sgd\"\nweight_decay = 0.01\n"
                         "[[skip]]\noptimiser = \"adamw\"\nmomentum = 0.9\n")
                .runs()
                .size(),
            4U);
}

TEST(ShippedGrids, HoldOnlySettingsThatMeanSomethingInEachRun) {
  for (const std::string_view name : sweep::shipped_grid_names()) {
    EXPECT_FALSE(sweep::find_grid(std::string(name), runs::defining_options()).runs().empty()) << name;
  }
}

TEST(ShippedGrids, AreThePapersGridsAndQuickCutsOfThem) {
  const auto grid = [](const char* name) { return sweep::find_grid(name, runs::defining_options()); };
  EXPECT_EQ(grid("induction").runs().size(), 8'640U);
  EXPECT_EQ(grid("token-groups").runs().size(), 12'960U);
  for (const std::string name : {"induction", "token-groups"}) {
    const sweep::Grid whole = grid(name.c_str()), quick = grid((name + "-quick").c_str());
    EXPECT_LE(quick.runs().size(), 150U);
    const auto keys = [](const sweep::Grid& g) {
      std::set<std::string> found;
      for (const sweep::GridAxis& axis : g.axes()) found.insert(axis.key);
      return found;
    };
    EXPECT_EQ(keys(whole), keys(quick));
  }
}

TEST(ShippedGrids, CanBeginAtAnotherSeed) {
  const sweep::Grid quick = sweep::find_grid("induction-quick", runs::defining_options()),
                    moved = quick.with_seeds_from(7);
  ASSERT_EQ(moved.runs().size(), quick.runs().size());
  EXPECT_NE(moved.text().find("seed = [7, 8, 9]"), std::string::npos) << moved.text();
  EXPECT_EQ(quick.with_seeds_from(0).text(), quick.text());
}

TEST(ShippedGrids, GiveWayToAFileAndAreNamedWhereThereIsNeither) {
  const std::string file = std::string(POLARISCOPE_SOURCE_DIR) + "/grids/induction-quick.toml";
  EXPECT_EQ(sweep::find_grid(file, runs::defining_options()).text(),
            sweep::find_grid("induction-quick", runs::defining_options()).text());
  try {
    sweep::find_grid("inductoin", runs::defining_options());
    ADD_FAILURE() << "was not refused";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"induction\"?"), std::string::npos) << error.what();
  }
  EXPECT_THROW(sweep::find_grid("nowhere/grid.toml", runs::defining_options()), Error);
}

}  // namespace
}  // namespace polariscope
