#include "polariscope/sweep/run_end.h"

#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <csignal>

namespace polariscope {
namespace {

sweep::RunEnd end_with(const std::string& result) {
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "config.toml", "seed = 1\n");
  write_file(folder.path() / "result.json", result);
  return sweep::read_result(folder.path()).value();
}

TEST(RunEnd, IsUnknownWithoutAResult) {
  const testing::TemporaryFolder folder;
  EXPECT_FALSE(sweep::read_result(folder.path()).has_value());
}

TEST(RunEnd, KeepsTheResultsNumbersTextsAndBooleans) {
  const sweep::RunEnd end = end_with(R"({"loss": 0.1, "steps": 12, "attention": "a, \"b\": nan}", "kept": true})");
  EXPECT_EQ(end.failure, "");
  EXPECT_EQ(end.metrics, R"({"loss":0.1,"steps":12,"attention":"a, \"b\": nan}","kept":true})");
  EXPECT_GE(end.seconds, 0.0);
  EXPECT_LT(end.seconds, 60.0);
}

TEST(RunEnd, NamesWhatIsNotFiniteHoweverItIsWritten) {
  const sweep::RunEnd end =
      end_with(R"({"a": null, "b": NaN, "c": -Infinity, "d":nan, "e": "inf", "f": 1, "g": -nan})");
  EXPECT_EQ(end.failure, "returned NaN or infinity: a, b, c, d, e, g");
  EXPECT_EQ(end.metrics, R"({"a":null,"b":null,"c":null,"d":null,"e":null,"f":1,"g":null})");
}

TEST(RunEnd, RefusesAResultThatIsNoFlatObject) {
  EXPECT_EQ(end_with("{\"a\": 1").failure, "result.json is no JSON object");
  EXPECT_EQ(end_with("[1]").failure, "result.json is no JSON object");
  EXPECT_EQ(end_with("").failure, "result.json is no JSON object");
  EXPECT_EQ(end_with("{\"a\": \"\xFF\"}").failure, "result.json is no JSON object");
  for (const char* text : {R"({"a": [1]})", R"({"a": {}})", R"({"a\"b": 1})", R"({"": 1})", R"({"a'": 1})"}) {
    EXPECT_NE(end_with(text).failure.find("expected plain names"), std::string::npos) << text;
    EXPECT_EQ(end_with(text).metrics, "{}");
  }
}

TEST(RunEnd, SaysWhyAProcessEndedWithItsLastLine) {
  const int exit_code_3 = 3 << 8;  // as waitpid gives it
  EXPECT_EQ(sweep::failure_of(SIGSEGV, ""), "killed by SIGSEGV");
  EXPECT_EQ(sweep::failure_of(SIGKILL, "one\ntwo\n"), "killed by SIGKILL: two");
  EXPECT_EQ(sweep::failure_of(exit_code_3, "first\n  no disk  \r\n\n"), "exit code 3: no disk");
  EXPECT_EQ(sweep::failure_of(0, ""), "no result");
  EXPECT_EQ(sweep::failure_of(0, "bad \xFF\x01 bytes"), "no result: bad \xEF\xBF\xBD  bytes");
  EXPECT_LT(sweep::failure_of(0, std::string(100'000, 'x')).size(), 300U);
}

}  // namespace
}  // namespace polariscope
