#include "polariscope/metrics/skewness.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

double skewness_of(const std::vector<double>& row) {
  return metrics::skewness(rows_of(row, static_cast<std::int64_t>(row.size()))).front().value();
}

TEST(Skewness, OfOneHotRowsIsTheLargest) {
  // (N - 2)/√(N - 1): N = 5 gives 3/2.
  EXPECT_NEAR(skewness_of({0, 0, 1, 0, 0}), 1.5, kRounding);
}

TEST(Skewness, OfAHandMadeRow) {
  // 0, 1, 5: mean 2, deviations -2, -1, 3; Σd² = 14, Σd³ = 18; (18/3)/(14/3)^1.5.
  EXPECT_NEAR(skewness_of({0, 1, 5}), 6.0 / std::pow(14.0 / 3.0, 1.5), kRounding);
}

TEST(Skewness, IsNegativeWhereFewWeightsAreSmallAndZeroForSymmetricRows) {
  EXPECT_NEAR(skewness_of({1, 1, 0, 1, 1}), -1.5, kRounding);
  EXPECT_NEAR(skewness_of({0.1, 0.2, 0.3}), 0.0, kRounding);
}

TEST(Skewness, OfEqualWeightsIsZeroHoweverTheirMeanRounds) {
  EXPECT_EQ(skewness_of({0.1, 0.1, 0.1}), 0.0);
  EXPECT_EQ(skewness_of({1.0}), 0.0);
  EXPECT_EQ(skewness_of({0.0, 0.0}), 0.0);
}

TEST(Skewness, OfSignedWeightsIsOnlyTheAbsoluteOne) {
  const std::vector<double> row{0, -1, 5};
  EXPECT_EQ(metrics::skewness(rows_of(row, 3)).front().count(), 0);
  EXPECT_NEAR(metrics::abs_skewness(rows_of(row, 3)).front().value(), 6.0 / std::pow(14.0 / 3.0, 1.5), kRounding);
}

TEST(Skewness, IsAtMostThatOfOneHotRows) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    EXPECT_LE(skewness_of(random_rows(1, 10, 0.1 * static_cast<double>(seed), seed)), 8.0 / 3.0 + kRounding);
  }
}

}  // namespace
}  // namespace polariscope::testing
