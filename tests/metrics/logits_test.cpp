#include "polariscope/metrics/logits.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

TEST(LogitVariance, IsThePopulationVarianceOfEachRow) {
  // Row 0: mean 2, squared deviations 1, 0, 1: 2/3. Row 1 is constant: 0, however 0.1 + 0.1 + 0.1 rounds.
  const std::vector<double> values{1, 2, 3, 0.1, 0.1, 0.1};
  const metrics::Mean mean = metrics::logit_variance(rows_of(values, 3)).front();
  EXPECT_DOUBLE_EQ(mean.value(), 1.0 / 3.0);
  EXPECT_EQ(metrics::logit_variance(rows_of(std::vector<double>{0.1, 0.1, 0.1}, 3)).front().value(), 0.0);
}

TEST(LogitVariance, DoesNotDependOnAShift) {
  const std::vector<double> values{1e9 + 1, 1e9 + 2, 1e9 + 3};
  EXPECT_DOUBLE_EQ(metrics::logit_variance(rows_of(values, 3)).front().value(), 2.0 / 3.0);
}

TEST(LogitVariance, OfASingleKeyIsZero) {
  EXPECT_EQ(metrics::logit_variance(rows_of(std::vector<double>{7.0}, 1)).front().value(), 0.0);
}

TEST(MaxLogit, IsSignedAndAbsoluteApart) {
  const std::vector<double> values{-3, -1, -2, -8};
  const metrics::MaxLogit head = metrics::max_logit(rows_of(values, 2)).front();
  EXPECT_EQ(head.maximum, -1.0);  // not 0
  EXPECT_EQ(head.absolute_maximum, 8.0);
}

TEST(MaxLogit, IsPerHeadOverSamples) {
  const std::vector<double> values{1, 2, 3, 4};  // [2 samples, 2 heads, 1, 1]
  const auto heads = metrics::max_logit(
      metrics::AttentionMap<double>{.values = values, .samples = 2, .heads = 2, .queries = 1, .keys = 1});
  ASSERT_EQ(heads.size(), 2U);
  EXPECT_EQ(heads[0].maximum, 3.0);
  EXPECT_EQ(heads[1].maximum, 4.0);
}

TEST(MaxLogit, OfMaskedLogitsIsThatOfTheVisibleOnes) {
  const std::vector<float> values{-5, 9, -6, -7};
  metrics::AttentionMap<float> map = rows_of(values, 2);
  map.causal = true;
  EXPECT_EQ(metrics::max_logit(map).front().maximum, -5.0);
}

TEST(MaxLogit, OfNothingIsMinusInfinityAndOfNaNIsNaN) {
  const metrics::AttentionMap<double> nothing{.heads = 1};
  EXPECT_EQ(metrics::max_logit(nothing).front().maximum, -kInfinity);
  EXPECT_EQ(metrics::max_logit(nothing).front().absolute_maximum, -kInfinity);
  for (const auto& values : {std::vector<double>{kNaN, 1}, std::vector<double>{1, kNaN}}) {
    EXPECT_TRUE(std::isnan(metrics::max_logit(rows_of(values, 2)).front().maximum));
    EXPECT_TRUE(std::isnan(metrics::max_logit(rows_of(values, 2)).front().absolute_maximum));
  }
}

}  // namespace
}  // namespace polariscope::testing
