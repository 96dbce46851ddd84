#include "polariscope/base/config.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace polariscope {
namespace {

using Items = std::vector<std::string>;

std::string refusal(std::string_view toml) {
  try {
    Config::parse(toml, "runs.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Config, ReadsStringsNumbersBooleansAndFlatLists) {
  const Config config = Config::parse(
      "loss = 'logistic'\nsteps = 300_000\nstep = 1e-3\ncheck = true\nseeds = [1, 2, 3]\nnames = []\n", "runs.toml");
  EXPECT_EQ(config.values().at("loss"), Items{"logistic"});
  EXPECT_EQ(config.values().at("steps"), Items{"300000"});
  EXPECT_EQ(config.values().at("step"), Items{"0.001"});
  EXPECT_EQ(config.values().at("check"), Items{"true"});
  EXPECT_EQ(config.values().at("seeds"), (Items{"1", "2", "3"}));
  EXPECT_EQ(config.values().at("names"), Items{});
  EXPECT_EQ(config.where(), "runs.toml");
}

TEST(Config, KeepsEveryDigitOfANumber) {
  const Config config = Config::parse("a = 0.1234567890123456\nb = 1e299\nc = -inf\n", "runs.toml");
  EXPECT_EQ(std::stod(config.values().at("a").at(0)), 0.1234567890123456);
  EXPECT_EQ(std::stod(config.values().at("b").at(0)), 1e299);
  EXPECT_EQ(config.values().at("c"), Items{"-inf"});
}

TEST(Config, ReadsAFileAndNamesItInErrors) {
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "runs.toml", "dim = 8\n");
  EXPECT_EQ(Config::read(folder.path() / "runs.toml").values().at("dim"), Items{"8"});
  EXPECT_THROW(Config::read(folder.path() / "none.toml"), Error);
}

TEST(Config, RefusesAnUnknownKeyByNameWithTheNearestKnownOne) {
  const Config config = Config::parse("loss = 'logistic'\nsteqs = 10\n", "runs.toml");
  try {
    config.refuse_unknown({"loss", "step", "steps"});
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "runs.toml: unknown setting \"steqs\": did you mean \"steps\"? (known: loss, step, steps)");
  }
  config.refuse_unknown({"loss", "steqs"});
}

TEST(Config, RefusesMalformedTomlWithItsPlace) {
  const std::string error = refusal("dim = 8\nloss = 'logistic\n");
  EXPECT_TRUE(error.starts_with("runs.toml, line 2, column ")) << error;
  EXPECT_NE(error.find("not TOML"), std::string::npos) << error;
  EXPECT_NE(refusal("dim = 8\ndim = 9\n"), "");
}

TEST(Config, RefusesNestedTablesByName) {
  const std::string table = refusal("dim = 8\n\n[flow]\nstep = 1\n");
  EXPECT_TRUE(table.starts_with("runs.toml, line 3: flow holds a value of type table, expected")) << table;
  const std::string inline_table = refusal("flow = { step = 1 }\n");
  EXPECT_TRUE(inline_table.starts_with("runs.toml, line 1: flow holds a value of type table, expected"))
      << inline_table;
}

TEST(Config, RefusesNestedListsAndDates) {
  EXPECT_TRUE(refusal("seeds = [[1], [2]]\n").starts_with("runs.toml, line 1: seeds holds a value of type array"))
      << refusal("seeds = [[1], [2]]\n");
  EXPECT_NE(refusal("day = 2024-01-01\n"), "");
  EXPECT_NE(refusal("[[runs]]\nstep = 1\n"), "");
}

}  // namespace
}  // namespace polariscope
