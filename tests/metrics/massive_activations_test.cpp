#include "polariscope/metrics/massive_activations.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

metrics::MassiveActivations massive(const std::vector<double>& hidden, std::int64_t width) {
  return metrics::massive_activations(std::span<const double>(hidden), width);
}

TEST(MassiveActivations, AreFoundWithTokenAndFeatureTheLargestFirst) {
  // Sizes 0.1 0.1 0.2 0.2 150 300: median 0.2, so 200 are asked for, and 100.
  const metrics::MassiveActivations result = massive({0.1, -300, 0.2, 0.1, 0.2, 150, 250, 0.2, 0.1}, 3);
  EXPECT_DOUBLE_EQ(result.median, 0.2);
  ASSERT_EQ(result.found.size(), 2U);
  EXPECT_EQ(result.found[0].token, 0);
  EXPECT_EQ(result.found[0].feature, 1);
  EXPECT_EQ(result.found[0].value, -300.0);
  EXPECT_EQ(result.found[1].token, 2);
  EXPECT_EQ(result.found[1].feature, 0);
}

TEST(MassiveActivations, MustExceedAHundredAndReachAThousandMedians) {
  EXPECT_TRUE(massive({0.01, 0.01, 100.0}, 3).found.empty());  // not above 100
  EXPECT_EQ(massive({0.01, 0.01, 100.5}, 3).found.size(), 1U);
  EXPECT_TRUE(massive({1.0, 1.0, 999.0}, 3).found.empty());
  EXPECT_EQ(massive({1.0, 1.0, 1000.0}, 3).found.size(), 1U);
}

TEST(MassiveActivations, TakeTheMeanOfTheMiddleTwoAsAMedian) {
  EXPECT_DOUBLE_EQ(massive({4, -1, 3, 2}, 2).median, 2.5);
}

TEST(MassiveActivations, OfNothingOrOfNumbersThatAreNotFiniteAreNone) {
  EXPECT_TRUE(std::isnan(massive({}, 4).median));
  for (const double bad : {kNaN, kInfinity}) {
    const metrics::MassiveActivations result = massive({bad, 1, 1e9}, 3);
    EXPECT_TRUE(std::isnan(result.median));
    EXPECT_TRUE(result.found.empty());
  }
}

TEST(MassiveActivations, RefuseAWidthThatDoesNotFit) {
  EXPECT_EQ(complaint_of([] {
              massive({1, 2, 3}, 2);
            }),
            "massive activations: 3 numbers are no whole tokens of width 2");
  EXPECT_NE(complaint_of([] { massive({}, 0); }), "");
}

}  // namespace
}  // namespace polariscope::testing
