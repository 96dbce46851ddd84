#include "polariscope/metrics/sink_score.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

// Five tokens, so queries 1 and 2 count; the others would pull every mean to -100.
std::vector<double> five_tokens(std::vector<double> query_1, const std::vector<double>& query_2) {
  std::vector<double> values(5, 0.0);
  values[0] = -100.0, values[1] = 101.0;
  const std::vector<double> other = values;
  values.insert(values.end(), query_1.begin(), query_1.end());
  values.insert(values.end(), query_2.begin(), query_2.end());
  for (int row = 3; row < 5; ++row) values.insert(values.end(), other.begin(), other.end());
  return values;
}

TEST(SinkScore, IsTheMeanShareOfTheFirstTokenOverTheMiddleQueries) {
  // Shares 3/4 and 1/2: mean 5/8, deviation 1/8. Ratio of sums: (3 + 0.5)/(4 + 1) = 0.7.
  const auto values = five_tokens({3, 1, 0, 0, 0}, {0.5, 0.25, 0.25, 0, 0});
  const metrics::Mean share = metrics::first_token_share(rows_of(values, 5)).front();
  EXPECT_DOUBLE_EQ(share.value(), 0.625);
  EXPECT_DOUBLE_EQ(share.standard_deviation(), 0.125);
  EXPECT_EQ(share.count(), 2);
  EXPECT_DOUBLE_EQ(metrics::sink_score(share), 0.625);
  const metrics::Mean ratio = metrics::first_token_ratio_of_sums(rows_of(values, 5)).front();
  EXPECT_DOUBLE_EQ(ratio.value(), 0.7);
  EXPECT_EQ(ratio.count(), 1);
}

TEST(SinkScore, IsClippedAndTheRatioOfSumsIsNot) {
  // Shares 2/1 and 3/2: mean 7/4. Ratio: 5/3.
  const auto above = five_tokens({2, -1, 0, 0, 0}, {3, -1, 0, 0, 0});
  EXPECT_DOUBLE_EQ(metrics::first_token_share(rows_of(above, 5)).front().value(), 1.75);
  EXPECT_EQ(metrics::sink_score(metrics::first_token_share(rows_of(above, 5)).front()), 1.0);
  EXPECT_DOUBLE_EQ(metrics::first_token_ratio_of_sums(rows_of(above, 5)).front().value(), 5.0 / 3.0);
  const auto below = five_tokens({-1, 2, 0, 0, 0}, {-1, 2, 0, 0, 0});
  EXPECT_EQ(metrics::sink_score(metrics::first_token_share(rows_of(below, 5)).front()), 0.0);
  EXPECT_DOUBLE_EQ(metrics::first_token_ratio_of_sums(rows_of(below, 5)).front().value(), -1.0);
}

TEST(SinkScore, CountsDeadRowsAsZeroAndLeavesOutThoseThatSumToZero) {
  const auto dead = five_tokens({0, 0, 0, 0, 0}, {1, 1, 0, 0, 0});
  EXPECT_DOUBLE_EQ(metrics::first_token_share(rows_of(dead, 5)).front().value(), 0.25);
  const auto cancelling = five_tokens({1, -1, 0, 0, 0}, {1, 1, 0, 0, 0});
  EXPECT_DOUBLE_EQ(metrics::first_token_share(rows_of(cancelling, 5)).front().value(), 0.5);
  EXPECT_EQ(metrics::first_token_share(rows_of(cancelling, 5)).front().left_out(), 1);
  EXPECT_DOUBLE_EQ(metrics::first_token_ratio_of_sums(rows_of(cancelling, 5)).front().value(), 1.0);  // (1 + 1)/(0 + 2)
}

TEST(SinkScore, TakesTheMiddleOfEachPaddedSequence) {
  // Of four real tokens query 1 alone counts; padded keys are not read.
  const auto values = five_tokens({0.5, 0.5, 0, 0, 100}, {1, 0, 0, 0, 0});
  const std::vector<std::int64_t> lengths{4};
  metrics::AttentionMap<double> map = rows_of(values, 5);
  map.lengths = lengths;
  EXPECT_DOUBLE_EQ(metrics::first_token_share(map).front().value(), 0.5);
  EXPECT_DOUBLE_EQ(metrics::first_token_ratio_of_sums(map).front().value(), 0.5);
}

TEST(SinkScore, OfLessThanFourTokensIsUndefined) {
  const std::vector<double> values(9, 1.0);
  EXPECT_EQ(metrics::first_token_share(rows_of(values, 3)).front().count(), 0);
  EXPECT_TRUE(std::isnan(metrics::sink_score(metrics::first_token_share(rows_of(values, 3)).front())));
  EXPECT_EQ(metrics::first_token_ratio_of_sums(rows_of(values, 3)).front().count(), 0);
}

TEST(SinkScore, RefusesAttentionBetweenDifferentTokens) {
  const std::vector<double> values(8, 1.0);
  EXPECT_EQ(complaint_of([&] { metrics::first_token_share(rows_of(values, 4)); }),
            "sink score: 2 queries and 4 keys: it is of attention among the same tokens");
}

}  // namespace
}  // namespace polariscope::testing
