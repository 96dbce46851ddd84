#include "polariscope/metrics/sparsity_score.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

TEST(SparsityScore, IsTheMeanOfTheLargestShares) {
  // 2/4 and 1: mean 3/4, deviation 1/4. As they are: 2 and 5, mean 3.5.
  const std::vector<double> values{1, 2, 1, 0, 5, 0};
  const metrics::Mean score = metrics::sparsity_score(rows_of(values, 3)).front();
  EXPECT_DOUBLE_EQ(score.value(), 0.75);
  EXPECT_DOUBLE_EQ(score.standard_deviation(), 0.25);
  EXPECT_DOUBLE_EQ(metrics::maximum_weight(rows_of(values, 3)).front().value(), 3.5);
}

TEST(SparsityScore, WeighsTextsByTheirRealTokens) {
  // Two texts, of two real tokens (largest shares 1, 1) and of one (1, which is all it sees).
  const std::vector<double> values{1, 0, 0, 1, 0.5, 0.5, 0.5, 0.5};
  const std::vector<std::int64_t> lengths{2, 1};
  const metrics::AttentionMap<double> map{
      .values = values, .samples = 2, .heads = 1, .queries = 2, .keys = 2, .lengths = lengths};
  EXPECT_EQ(metrics::sparsity_score(map).front().count(), 3);
  EXPECT_DOUBLE_EQ(metrics::sparsity_score(map).front().value(), 1.0);
}

TEST(SparsityScore, OfSignedWeightsIsOnlyTheAbsoluteOne) {
  const std::vector<double> values{-3, 1};
  EXPECT_EQ(metrics::sparsity_score(rows_of(values, 2)).front().count(), 0);
  EXPECT_DOUBLE_EQ(metrics::abs_sparsity_score(rows_of(values, 2)).front().value(), 0.75);
  EXPECT_DOUBLE_EQ(metrics::maximum_weight(rows_of(values, 2)).front().value(), 1.0);
}

TEST(SparsityScore, OfADeadRowIsZero) {
  EXPECT_EQ(metrics::sparsity_score(rows_of(std::vector<double>{0, 0}, 2)).front().value(), 0.0);
}

TEST(SparsityScore, IsBetweenOneNthAndOne) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const auto values = random_rows(1, 7, 0.2 * static_cast<double>(seed), seed);
    const double score = metrics::sparsity_score(rows_of(values, 7)).front().value();
    EXPECT_GE(score, 1.0 / 7.0 - kRounding);
    EXPECT_LE(score, 1.0 + kRounding);
  }
}

}  // namespace
}  // namespace polariscope::testing
