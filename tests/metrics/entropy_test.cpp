#include "polariscope/metrics/entropy.h"

#include "maps.h"

#include <numbers>

namespace polariscope::testing {
namespace {

constexpr double kLog2 = std::numbers::ln2;

TEST(Entropy, OfHandMadeRows) {
  // One-hot 0; two halves log 2; uniform over four 2 log 2. Mean log 2; deviations -log 2, 0, log 2.
  const std::vector<double> values{1, 0, 0, 0, 0.5, 0.5, 0, 0, 0.25, 0.25, 0.25, 0.25};
  const metrics::Mean mean = metrics::entropy(rows_of(values, 4)).front();
  EXPECT_DOUBLE_EQ(mean.value(), kLog2);
  EXPECT_DOUBLE_EQ(mean.standard_deviation(), kLog2 * std::sqrt(2.0 / 3.0));
  EXPECT_EQ(mean.count(), 3);
}

TEST(Entropy, IsOfSharesWhereWeightsAreNotNormalised) {
  // Shares 1/2, 1/4, 1/4: 1.5 log 2.
  EXPECT_DOUBLE_EQ(metrics::entropy(rows_of(std::vector<double>{4, 2, 2}, 3)).front().value(), 1.5 * kLog2);
}

TEST(Entropy, OfSignedWeightsIsOnlyTheAbsoluteOne) {
  const std::vector<double> values{-4, 2, -2};
  EXPECT_EQ(metrics::entropy(rows_of(values, 3)).front().count(), 0);
  EXPECT_DOUBLE_EQ(metrics::abs_entropy(rows_of(values, 3)).front().value(), 1.5 * kLog2);
  EXPECT_DOUBLE_EQ(metrics::abs_relative_entropy(rows_of(values, 3)).front().value(), 1.5 * kLog2 / std::log(3.0));
}

TEST(Entropy, OfOneRowIsThatOfItsMap) {
  const std::vector<double> values{-4, 2, -2};
  const auto of_row = [](const std::vector<double>& row) {
    return metrics::row_abs_entropy(std::span<const double>(row));
  };
  EXPECT_EQ(of_row(values), metrics::abs_entropy(rows_of(values, 3)).front().value());
  EXPECT_EQ(of_row({0, 7, 0}), 0.0);
  EXPECT_FALSE(std::signbit(of_row({0, 7, 0})));  // which people read
  EXPECT_EQ(of_row({0, 0}), 0.0);
  EXPECT_TRUE(std::isnan(of_row({1, kInfinity})));
}

TEST(Entropy, IsBetweenZeroAndLogN) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::int64_t keys = 1 + static_cast<std::int64_t>(seed % 40);
    const auto values = random_rows(1, keys, 0.1 * static_cast<double>(seed), seed);
    const double H = metrics::entropy(rows_of(values, keys)).front().value();
    EXPECT_GE(H, 0.0) << "seed " << seed;
    EXPECT_LE(H, std::log(static_cast<double>(keys)) + kRounding) << "seed " << seed;
  }
}

TEST(Entropy, OfARowWithoutAnyWeightIsZero) {
  const std::vector<double> values{0, 0, 0};
  EXPECT_EQ(metrics::entropy(rows_of(values, 3)).front().value(), 0.0);
  EXPECT_EQ(metrics::entropy(rows_of(values, 3)).front().count(), 1);
  EXPECT_EQ(metrics::relative_entropy(rows_of(values, 3)).front().value(), 0.0);
  EXPECT_EQ(metrics::normalised_entropy(rows_of(values, 3)).front().mean.value(), 0.0);
}

TEST(RelativeEntropy, ComparesCausalRowsAndLeavesTheFirstOut) {
  // Row 1 is uniform over its two keys: 1. Row 2 has shares 1/2, 1/2, 0 of three: log 2/log 3.
  const std::vector<double> values{1, 0, 0, 0.5, 0.5, 0, 0.5, 0.5, 0};
  metrics::AttentionMap<double> map = rows_of(values, 3);
  map.causal = true;
  const metrics::Mean mean = metrics::relative_entropy(map).front();
  EXPECT_DOUBLE_EQ(mean.value(), 0.5 * (1.0 + kLog2 / std::log(3.0)));
  EXPECT_EQ(mean.count(), 2);
  EXPECT_EQ(mean.left_out(), 1);
}

TEST(NormalisedEntropy, OfHandMadeRows) {
  // Two halves of four: log 2/(log 4 - log 2) = 1. One-hot: 0.
  const std::vector<double> values{0.5, 0.5, 0, 0, 1, 0, 0, 0};
  const metrics::NormalisedEntropy head = metrics::normalised_entropy(rows_of(values, 4)).front();
  EXPECT_DOUBLE_EQ(head.mean.value(), 0.5);
  EXPECT_EQ(head.clamped, 0);
}

TEST(NormalisedEntropy, ClampsAndCountsRowsThatAreUniform) {
  const std::vector<double> values{0.25, 0.25, 0.25, 0.25, 1, 0, 0, 0};
  const metrics::NormalisedEntropy head = metrics::normalised_entropy(rows_of(values, 4)).front();
  EXPECT_DOUBLE_EQ(head.mean.value(), 0.5 * std::log(4.0) / 1e-9);
  EXPECT_EQ(head.clamped, 1);
}

TEST(NormalisedEntropy, OfASingleKeyIsUndefined) {
  const metrics::NormalisedEntropy head =
      metrics::normalised_entropy(rows_of(std::vector<double>{1.0, 1.0}, 1)).front();
  EXPECT_EQ(head.mean.count(), 0);
  EXPECT_EQ(head.mean.left_out(), 2);
  EXPECT_EQ(head.clamped, 0);
}

}  // namespace
}  // namespace polariscope::testing
