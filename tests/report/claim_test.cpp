#include "polariscope/report/claim.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace polariscope {
namespace {

TEST(Claim, SurvivesJson) {
  for (const report::Verdict verdict :
       {report::Verdict::kHolds, report::Verdict::kFails, report::Verdict::kInconclusive}) {
    const report::Claim claim{"A.thm3.2/order", "σ ≥ 0", "Theorem 3.2", "margin ≥ 0", "0.1 ± 0.2", 0.1, -0.1, 1e299, 7,
                              verdict,          "sigma"};
    const report::Claim back = nlohmann::json::parse(nlohmann::json(claim).dump()).get<report::Claim>();
    EXPECT_EQ(nlohmann::json(back), nlohmann::json(claim));
    EXPECT_EQ(back.verdict, verdict);
    EXPECT_EQ(back.high, 1e299);
  }
}

TEST(Claim, WithoutANumberSurvivesJson) {
  report::Claim claim;
  claim.value = std::nan("");
  claim.low = -std::numeric_limits<double>::infinity();
  claim.high = std::numeric_limits<double>::infinity();
  const report::Claim back = nlohmann::json::parse(nlohmann::json(claim).dump()).get<report::Claim>();
  EXPECT_TRUE(std::isnan(back.value));
  EXPECT_EQ(back.low, claim.low);
  EXPECT_EQ(back.high, claim.high);
}

TEST(Claim, OfAnUnknownVerdictIsRefused) {
  nlohmann::json json = report::Claim{};
  json["verdict"] = "probably";
  EXPECT_THROW(json.get<report::Claim>(), Error);
}

TEST(Verdict, HasAMarkAndAWordOfItsOwn) {
  EXPECT_EQ(report::verdict_mark(report::Verdict::kHolds), "✓");
  EXPECT_EQ(report::verdict_mark(report::Verdict::kFails), "✗");
  EXPECT_EQ(report::verdict_mark(report::Verdict::kInconclusive), "~");
  EXPECT_EQ(report::verdict_name(report::Verdict::kHolds), "holds");
  EXPECT_EQ(report::verdict_name(report::Verdict::kFails), "fails");
  EXPECT_EQ(report::verdict_name(report::Verdict::kInconclusive), "inconclusive");
}

}  // namespace
}  // namespace polariscope
