#include "polariscope/metrics/sink_rate.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

// Two samples of three tokens, causal.
const std::vector<double> kValues{1, 0, 0, 0.5, 0.5, 0, 0.2, 0.2, 0.6,   // shares of key 0: 1, 1/2, 1/5
                                  1, 0, 0, 0,   1,   0, 0,   0.3, 0.7};  // 1, 0, 0

metrics::AttentionMap<double> two_samples() {
  return {.values = kValues, .samples = 2, .heads = 1, .queries = 3, .keys = 3, .causal = true};
}

TEST(ImportanceScore, IsTheMeanOverQueriesFromThePositionOn) {
  // Position 0: (1 + 1/2 + 1/5)/3 = 17/30 and 1/3; position 1: (1/2 + 1/5)/2 = 7/20 and 13/20; position 2: 0.6, 0.7.
  EXPECT_NEAR(metrics::importance_score(two_samples(), 0).front().value(), 0.5 * (17.0 / 30.0 + 1.0 / 3.0), kRounding);
  EXPECT_NEAR(metrics::importance_score(two_samples(), 1).front().value(), 0.5, kRounding);
  EXPECT_NEAR(metrics::importance_score(two_samples(), 1).front().standard_deviation(), 0.15, kRounding);
  EXPECT_NEAR(metrics::importance_score(two_samples(), 2).front().value(), 0.65, kRounding);
}

TEST(SinkRate, IsTheFractionOfSamplesAboveTheThreshold) {
  EXPECT_EQ(metrics::sink_rate(two_samples()).front().value(), 1.0);  // 17/30 and 1/3, both above 0.3
  EXPECT_EQ(metrics::sink_rate(two_samples(), 0, 0.5).front().value(), 0.5);
  EXPECT_EQ(metrics::sink_rate(two_samples(), 0, 0.6).front().value(), 0.0);
  EXPECT_EQ(metrics::sink_rate(two_samples()).front().count(), 2);
}

TEST(SinkRate, TakesTheSizesOfSignedWeights) {
  // Shares of key 0: 1 and 3/4; mean 7/8.
  const std::vector<double> values{-2, 0, -3, 1};
  EXPECT_DOUBLE_EQ(metrics::importance_score(rows_of(values, 2), 0).front().value(), 0.875);
}

TEST(SinkRate, LeavesOutSamplesThatAreNotFiniteOrEndBefore) {
  std::vector<double> values = kValues;
  values[3] = kNaN;
  metrics::AttentionMap<double> map = two_samples();
  map.values = values;
  EXPECT_EQ(metrics::sink_rate(map).front().count(), 1);
  EXPECT_EQ(metrics::sink_rate(map).front().left_out(), 1);
  const std::vector<std::int64_t> lengths{3, 1};
  map = two_samples();
  map.lengths = lengths;
  EXPECT_EQ(metrics::importance_score(map, 0).front().count(), 2);
  EXPECT_EQ(metrics::importance_score(map, 1).front().count(), 1);
  EXPECT_EQ(metrics::importance_score(map, 3).front().count(), 0);
}

TEST(SinkRate, RefusesANegativePosition) {
  EXPECT_EQ(complaint_of([] { metrics::sink_rate(two_samples(), -1); }),
            "sink rate: position -1: positions count from 0");
}

}  // namespace
}  // namespace polariscope::testing
