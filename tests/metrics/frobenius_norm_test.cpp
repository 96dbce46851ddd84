#include "polariscope/metrics/frobenius_norm.h"

#include "maps.h"
#include "polariscope/metrics/entropy.h"

namespace polariscope::testing {
namespace {

double norm_of(const std::vector<double>& values, std::int64_t keys) {
  return metrics::frobenius_norm(rows_of(values, keys)).front().value();
}

TEST(FrobeniusNorm, IsOneForUniformRowsAndRootNForOneHotOnes) {
  EXPECT_DOUBLE_EQ(norm_of(std::vector<double>(16, 0.25), 4), 1.0);  // 16 · 1/16
  EXPECT_DOUBLE_EQ(norm_of({1, 0, 0, 1, 0, 0, 0, 1, 0}, 3), std::sqrt(3.0));
}

TEST(FrobeniusNorm, OfUniformCausalRowsIsTheRootOfTheHarmonicSum) {
  // Row i has i weights 1/i: Σ 1/i = 1 + 1/2 + 1/3 = 11/6.
  const std::vector<double> values{1, 0, 0, 0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3};
  metrics::AttentionMap<double> map = rows_of(values, 3);
  map.causal = true;
  EXPECT_DOUBLE_EQ(metrics::frobenius_norm(map).front().value(), std::sqrt(11.0 / 6.0));
}

TEST(FrobeniusNorm, IsOfTheWeightsAsTheyAre) { EXPECT_DOUBLE_EQ(norm_of({3, -4}, 2), 5.0); }

TEST(FrobeniusNorm, HasTheSpreadOfSamples) {
  const std::vector<double> values{3, 4, 6, 8};  // norms 5 and 10
  const metrics::Mean mean =
      metrics::frobenius_norm(
          metrics::AttentionMap<double>{.values = values, .samples = 2, .heads = 1, .queries = 1, .keys = 2})
          .front();
  EXPECT_DOUBLE_EQ(mean.value(), 7.5);
  EXPECT_DOUBLE_EQ(mean.standard_deviation(), 2.5);
  EXPECT_EQ(mean.count(), 2);
}

TEST(FrobeniusNorm, StaysInsideItsBoundsAndAboveWhatTheEntropyAllows) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const auto map = random_rows(9, 9, 0.1 * static_cast<double>(seed), seed);
    EXPECT_GE(norm_of(map, 9), 1.0 - kRounding);
    EXPECT_LE(norm_of(map, 9), 3.0 + kRounding);
    // ‖p‖² >= e^{-H} for every row (Jensen).
    const auto row = random_rows(1, 9, 0.1 * static_cast<double>(seed), seed);
    const double H = metrics::entropy(rows_of(row, 9)).front().value(), norm = norm_of(row, 9);
    EXPECT_GE(norm * norm, std::exp(-H) - kRounding) << "seed " << seed;
  }
}

}  // namespace
}  // namespace polariscope::testing
