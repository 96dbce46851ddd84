#include "polariscope/base/config.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace polariscope {
namespace {

std::string refusal(std::string_view toml) {
  try {
    Config::parse(toml, "runs.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Config, ReadsStringsNumbersAndBooleansAsWhatTheyAre) {
  const Config config =
      Config::parse("loss = 'logistic'\nsteps = 300_000\nstep = 1e-3\ncheck = true\nname = '1e3'\n", "runs.toml");
  const auto value = [&](const char* key) { return config.entries().at(key).value; };
  EXPECT_EQ(value("loss"), ConfigValue("logistic"));
  EXPECT_EQ(value("steps"), ConfigValue(std::int64_t{300'000}));
  EXPECT_EQ(value("step"), ConfigValue(0.001));
  EXPECT_EQ(value("check"), ConfigValue(true));
  EXPECT_EQ(value("name"), ConfigValue("1e3"));
  EXPECT_EQ(config.entries().at("step").line, 3);
  EXPECT_EQ(config.where(), "runs.toml");
}

TEST(Config, KeepsEveryDigitOfANumber) {
  const Config config = Config::parse("a = 0.1234567890123456\nb = 1e299\nc = -inf\n", "runs.toml");
  EXPECT_EQ(config.entries().at("a").value, ConfigValue(0.1234567890123456));
  EXPECT_EQ(config.entries().at("b").value, ConfigValue(1e299));
  EXPECT_EQ(config.entries().at("c").value, ConfigValue(-std::numeric_limits<double>::infinity()));
}

TEST(Config, ReadsAFileAndNamesItInErrors) {
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "runs.toml", "dim = 8\n");
  EXPECT_EQ(Config::read(folder.path() / "runs.toml").entries().at("dim").value, ConfigValue(std::int64_t{8}));
  EXPECT_THROW(Config::read(folder.path() / "none.toml"), Error);
}

// What is written reads back as the same value of the same kind.
TEST(Config, WritesWhatItReads) {
  std::string every_byte;
  for (char c = 1; c < 127; ++c) every_byte += c;
  for (const ConfigValue& value :
       std::vector<ConfigValue>{true, false, std::int64_t{0}, std::int64_t{-7}, 2.0, -0.5, 1e-300, 1e22,
                                0.1234567890123456, std::numeric_limits<double>::infinity(), "", "softmax", "1e3",
                                "true", "a\nb\tc\x7f", "\"quoted\" \\ back", "β ≤ 1", every_byte + "\x7f"}) {
    const std::string toml = "key = " + toml_text(value) + "\n";
    EXPECT_EQ(Config::parse(toml, "runs.toml").entries().at("key").value, value) << toml;
  }
}

TEST(Config, RefusesToWriteTextThatTomlCannotHold) {
  EXPECT_NE(testing::complaint_of([] { toml_text(std::string("caf\xe9")); }).find("not UTF-8"), std::string::npos);
}

TEST(Config, SaysAValueAsOneTypesIt) {
  EXPECT_EQ(plain_text(2.0), "2");
  EXPECT_EQ(plain_text(0.7), "0.7");
  EXPECT_EQ(plain_text(std::int64_t{4}), "4");
  EXPECT_EQ(plain_text(true), "true");
  EXPECT_EQ(plain_text("softmax"), "softmax");
}

TEST(Config, RefusesAnUnknownKeyByNameWithTheNearestKnownOne) {
  const Config config = Config::parse("loss = 'logistic'\nsteqs = 10\n", "runs.toml");
  try {
    config.refuse_unknown({"loss", "step", "steps"});
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "runs.toml, line 2: unknown setting \"steqs\": did you mean \"steps\"? (known: loss, step, steps)");
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

TEST(Config, RefusesListsAndDates) {
  EXPECT_TRUE(refusal("seeds = [1, 2]\n").starts_with("runs.toml, line 1: seeds holds a value of type array"))
      << refusal("seeds = [1, 2]\n");
  EXPECT_NE(refusal("day = 2024-01-01\n"), "");
  EXPECT_NE(refusal("[[runs]]\nstep = 1\n"), "");
}

}  // namespace
}  // namespace polariscope
