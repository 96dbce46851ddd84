#include "bench/record.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

nlohmann::json record_of(std::vector<nlohmann::json> cases) {
  return {{"machine", "Abacus, 2 processors"}, {"simd", "AVX3"},   {"threads", 1},
          {"date", "2026-11-28 12:00 UTC"},    {"commit", "1234"}, {"cases", std::move(cases)}};
}

nlohmann::json measured(const char* name, const char* verdict, nlohmann::json numbers) {
  numbers.update({{"name", name},
                  {"verdict", verdict},
                  {"target", "≥ 2×"},
                  {"note", ""},
                  {"shown", {{"ours", "1 ms"}, {"peer", "2 ms"}, {"ratio", "2×"}}}});
  return numbers;
}

nlohmann::json spread_about(double median) {
  return {{"median", median}, {"low", 0.9 * median}, {"high", 1.1 * median}};
}

TEST(BenchGain, IsOfTheRatioToThePeerBeforeOfTheTime) {
  const nlohmann::json then{{"ratio", spread_about(2.0)}, {"ours_seconds", spread_about(1.0)}};
  const nlohmann::json now{{"ratio", spread_about(2.5)}, {"ours_seconds", spread_about(3.0)}};
  EXPECT_NEAR(*bench::gain(now, then), 0.25, 1e-12);
}

TEST(BenchGain, IsAboveZeroForLessTimeCostAndMemory) {
  for (const char* key : {"on_over_off", "over_products", "ours_seconds"}) {
    EXPECT_NEAR(*bench::gain({{key, spread_about(1.0)}}, {{key, spread_about(2.0)}}), 1.0, 1e-12) << key;
  }
  EXPECT_NEAR(*bench::gain({{"ours_extra_bytes", 200}}, {{"ours_extra_bytes", 100}}), -0.5, 1e-12);
  EXPECT_NEAR(*bench::gain({{"fraction_of_peak", spread_about(0.8)}}, {{"fraction_of_peak", spread_about(0.4)}}), 1.0,
              1e-12);
}

TEST(BenchGain, IsNothingWhereACaseIsNewOrWasSkipped) {
  const nlohmann::json one{{"ratio", spread_about(2.0)}};
  EXPECT_FALSE(bench::gain(one, nullptr).has_value());
  EXPECT_FALSE(bench::gain(one, nlohmann::json::object()).has_value());
  EXPECT_FALSE(bench::gain(nlohmann::json::object(), one).has_value());
}

TEST(BenchDifference, NamesWhatKeepsTwoRunsApart) {
  const nlohmann::json accepted = record_of({});
  EXPECT_EQ(bench::difference(accepted, accepted), "");
  nlohmann::json other = accepted;
  other["machine"] = "Slide rule, 1 processor";
  EXPECT_NE(bench::difference(other, accepted).find("another machine: \"Abacus, 2 processors\", here \"Slide rule"),
            std::string::npos);
  other = accepted;
  other["threads"] = 2;
  EXPECT_NE(bench::difference(other, accepted).find("another number of threads: 1, here 2"), std::string::npos);
}

TEST(BenchFailures, AreTargetsMissedAndLossesOfMoreThanFivePercent) {
  const nlohmann::json accepted =
      record_of({measured("steady", "met", {{"ratio", 2.0}}), measured("lost", "met", {{"ratio", 2.0}}),
                 measured("missed", "missed", {{"ratio", 1.0}})});
  const nlohmann::json now =
      record_of({measured("steady", "met", {{"ratio", 1.91}}), measured("lost", "met", {{"ratio", 1.88}}),
                 measured("missed", "missed", {{"ratio", 1.0}}), measured("new", "no target", {{"ratio", 0.1}}),
                 measured("skipped", "skipped", nlohmann::json::object())});
  EXPECT_EQ(bench::failures(now, accepted), (std::vector<std::string>{"lost lost 6.0 %", "missed missed ≥ 2×"}));
}

TEST(BenchFailures, AreTargetsAloneWithoutAComparableRun) {
  const nlohmann::json now = record_of({measured("lost", "met", {{"ratio", 1.0}}), measured("missed", "missed", {})});
  nlohmann::json accepted = record_of({measured("lost", "met", {{"ratio", 2.0}})});
  EXPECT_EQ(bench::failures(now, nullptr), std::vector<std::string>{"missed missed ≥ 2×"});
  accepted["simd"] = "AVX2";
  EXPECT_EQ(bench::failures(now, accepted), std::vector<std::string>{"missed missed ≥ 2×"});
}

TEST(BenchResults, StandOnThePageBetweenTheirMarksAndNowhereElse) {
  const std::string page =
      "a\n<!-- results: one -->\nold\n<!-- end of results -->\nb\n<!-- results: two -->\nkept\n<!-- end of results "
      "-->\n";
  EXPECT_EQ(bench::with_results(page, "one", "new\n"),
            "a\n<!-- results: one -->\nnew\n<!-- end of results -->\nb\n<!-- results: two -->\nkept\n<!-- end of "
            "results -->\n");
  EXPECT_THROW(bench::with_results(page, "three", ""), Error);
  EXPECT_THROW(bench::with_results("<!-- results: one -->\nold\n", "one", ""), Error);
}

TEST(BenchResults, AreInTheDocsAsTheyWereAccepted) {
  const std::filesystem::path root = POLARISCOPE_SOURCE_DIR;
  const std::string page = read_file(root / "docs/benchmarks.md");
  for (const auto& file : std::filesystem::directory_iterator(root / "bench/results")) {
    const nlohmann::json record = nlohmann::json::parse(read_file(file.path()));
    EXPECT_EQ(bench::with_results(page, file.path().stem().string(), bench::markdown(record)), page)
        << file.path() << " and the table in docs/benchmarks.md differ: accept a run";
  }
}

TEST(BenchResults, HaveAPlaceOnThePageForEveryBenchmark) {
  const std::string page = read_file(std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "docs/benchmarks.md");
  for (const char* name : {"attention", "flow", "icl", "tasks", "train"}) {
    EXPECT_NO_THROW(bench::with_results(page, name, "")) << name;
  }
}

}  // namespace
}  // namespace polariscope::testing
