#include "polariscope/report/claim.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace polariscope {
namespace {

TEST(Claim, SurvivesJson) {
  for (const Verdict verdict : {Verdict::kHolds, Verdict::kFails, Verdict::kInconclusive}) {
    const Claim claim{"A.thm3.2/order", "σ ≥ 0", "Theorem 3.2", "margin ≥ 0", "0.1 ± 0.2", 0.1, -0.1, 1e299, 7,
                      verdict,          "sigma"};
    const Claim back = nlohmann::json::parse(nlohmann::json(claim).dump()).get<Claim>();
    EXPECT_EQ(nlohmann::json(back), nlohmann::json(claim));
    EXPECT_EQ(back.verdict, verdict);
    EXPECT_EQ(back.high, 1e299);
  }
}

TEST(Claim, WithoutANumberSurvivesJson) {
  Claim claim;
  claim.value = std::nan("");
  claim.low = -std::numeric_limits<double>::infinity();
  claim.high = std::numeric_limits<double>::infinity();
  const Claim back = nlohmann::json::parse(nlohmann::json(claim).dump()).get<Claim>();
  EXPECT_TRUE(std::isnan(back.value));
  EXPECT_EQ(back.low, claim.low);
  EXPECT_EQ(back.high, claim.high);
}

TEST(Claim, OfAnUnknownVerdictIsRefused) {
  nlohmann::json json = Claim{};
  json["verdict"] = "probably";
  EXPECT_THROW(json.get<Claim>(), Error);
}

TEST(Verdict, HasAMarkAndAWordOfItsOwn) {
  EXPECT_EQ(verdict_mark(Verdict::kHolds), "✓");
  EXPECT_EQ(verdict_mark(Verdict::kFails), "✗");
  EXPECT_EQ(verdict_mark(Verdict::kInconclusive), "~");
  EXPECT_EQ(verdict_name(Verdict::kHolds), "holds");
  EXPECT_EQ(verdict_name(Verdict::kFails), "fails");
  EXPECT_EQ(verdict_name(Verdict::kInconclusive), "inconclusive");
}

}  // namespace
}  // namespace polariscope
