#include "polariscope/experiments/lipschitz/controlled_variance.h"

#include "polariscope/metrics/entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace polariscope {
namespace {

experiments::ControlledRows rows_at(experiments::ControlledKind kind, double query_norm, double key_scale,
                                    std::uint64_t seed = 1) {
  return experiments::controlled_rows(
      experiments::controlled_attentions()[kind],
      {.keys = 200, .width = 12, .queries = 50, .query_norm = query_norm, .key_scale = key_scale}, seed);
}

// β over scales small enough for the expansion of the entropy to its first term.
double small_variance_exponent(experiments::ControlledKind kind, bool both, std::uint64_t seed) {
  std::vector<experiments::ControlledRows> sweep;
  for (const double scale : {0.01, 0.02, 0.04, 0.08}) sweep.push_back(rows_at(kind, both ? scale : 1.0, scale, seed));
  return experiments::power_law_of(sweep, 200).exponent;
}

// H ≈ log N - ½ Var[w]/E[w]²: the relative variance of the weights is Var z under softmax. Under ELU+1 it is that of
// φ(q)·(1 + k), of order σ², where Var z is of order ‖q‖²σ²: its square when query and key shrink together. Under ReLU
// no scale is left in it.
TEST(ControlledVariance, TheSmallVarianceExponentsAreThoseOfTheExpansion) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    EXPECT_NEAR(small_variance_exponent(experiments::kSoftmax, true, seed), -1.0, 0.01) << "seed " << seed;
    EXPECT_NEAR(small_variance_exponent(experiments::kSoftmax, false, seed), -1.0, 0.01) << "seed " << seed;
    EXPECT_NEAR(small_variance_exponent(experiments::kElu1Kernel, true, seed), -0.5, 0.02) << "seed " << seed;
    EXPECT_NEAR(small_variance_exponent(experiments::kElu1Kernel, false, seed), -1.0, 0.03) << "seed " << seed;
    EXPECT_NEAR(small_variance_exponent(experiments::kReluKernel, true, seed), 0.0, 1e-9) << "seed " << seed;
    EXPECT_NEAR(small_variance_exponent(experiments::kReluKernel, false, seed), 0.0, 1e-9) << "seed " << seed;
  }
}

TEST(ControlledVariance, SoftmaxLosesHalfTheVarianceOfItsScores) {
  const experiments::ControlledRows rows = rows_at(experiments::kSoftmax, 1.0, 0.05);
  EXPECT_NEAR(std::log(200.0) - rows.entropy.value(), 0.5 * rows.score_variance, 0.01 * rows.score_variance);
}

TEST(ControlledVariance, ScoresHaveTheVarianceThatIsAskedFor) {
  // 200 keys: a relative error of about √(2/200) a row; the rows share their keys, so their mean is not much better.
  EXPECT_NEAR(rows_at(experiments::kSoftmax, 1.0, 4.0).score_variance, 16.0, 4.0);
  EXPECT_NEAR(
      rows_at(experiments::kSoftmax, 0.5, 4.0).score_variance / rows_at(experiments::kSoftmax, 1.0, 4.0).score_variance,
      0.25, 1e-12);
}

TEST(ControlledVariance, TheReluKernelKnowsNoScaleAndLayerNormAllButNone) {
  EXPECT_NEAR(rows_at(experiments::kReluKernel, 1.0, 1.0).entropy.value(),
              rows_at(experiments::kReluKernel, 3.0, 8.0).entropy.value(), 1e-12);
  EXPECT_NEAR(rows_at(experiments::kQkLayerNorm, 1.0, 1.0).entropy.value(),
              rows_at(experiments::kQkLayerNorm, 1.0, 8.0).entropy.value(), 1e-3);
}

TEST(ControlledVariance, RowsSumToOneAndDeadOnesAreCountedApart) {
  for (const experiments::ControlledKind kind :
       {experiments::kSoftmax, experiments::kQkLayerNorm, experiments::kReluKernel, experiments::kElu1Kernel}) {
    const experiments::ControlledRows rows = rows_at(kind, 1.0, 2.0);
    EXPECT_EQ(rows.entropy.count() + rows.dead, 50);
    EXPECT_NEAR(std::accumulate(rows.first_row.begin(), rows.first_row.end(), 0.0), 1.0, 1e-12);
  }
  // Of width 1 every second query is negative and sees nothing through ReLU.
  const experiments::ControlledRows narrow = experiments::controlled_rows(
      experiments::controlled_attentions()[experiments::kReluKernel], {.keys = 20, .width = 1, .queries = 400}, 3);
  EXPECT_NEAR(static_cast<double>(narrow.dead), 200.0, 5.0 * 10.0);  // five standard deviations
  EXPECT_GT(narrow.entropy.value(), 0.0);
}

}  // namespace
}  // namespace polariscope
