#include "polariscope/metrics/variance_entropy.h"

#include "maps.h"
#include "polariscope/metrics/entropy.h"

#include <numbers>

namespace polariscope::testing {
namespace {

using Numbers = std::vector<double>;

TEST(PowerLaw, FindsAnExactLaw) {
  const metrics::PowerLaw law = metrics::fit_power_law(Numbers{1, 4, 9, 16}, Numbers{3, 1.5, 1, 0.75});  // y = 3/√x
  EXPECT_NEAR(law.exponent, -0.5, kRounding);
  EXPECT_NEAR(law.intercept, std::log(3.0), kRounding);
  EXPECT_NEAR(law.r_squared, 1.0, kRounding);
  EXPECT_NEAR(law.low, -0.5, 1e-7);  // a residual of rounding alone
  EXPECT_NEAR(law.high, -0.5, 1e-7);
  EXPECT_EQ(law.points, 4);
  EXPECT_EQ(law.left_out, 0);
}

TEST(PowerLaw, HasTheIntervalOfLeastSquares) {
  // log x = 0, 1, 2 and log y = 0, 0, 3: slope 3/2, mean 1, Σ(x - x̄)² = 2, Σ(y - ȳ)² = 6, residual 6 - 1.5·3 = 1.5.
  // R² = 3/4; one degree of freedom: t = 12.7062, standard error √(1.5/1/2).
  const double e = std::numbers::e;
  const metrics::PowerLaw law = metrics::fit_power_law(Numbers{1, e, e * e}, Numbers{1, 1, e * e * e});
  EXPECT_NEAR(law.exponent, 1.5, kRounding);
  EXPECT_NEAR(law.intercept, -0.5, kRounding);
  EXPECT_NEAR(law.r_squared, 0.75, kRounding);
  EXPECT_NEAR(law.high - law.exponent, 12.7062 * std::sqrt(0.75), 1e-6);
  EXPECT_NEAR(law.exponent - law.low, 12.7062 * std::sqrt(0.75), 1e-6);
}

TEST(PowerLaw, CoversTheTrueExponentNineteenTimesInTwenty) {
  // Student's t is approximated: over few points the fraction would show it. 20 000 fits, five standard errors.
  for (const int points : {3, 4, 5, 8, 40}) {
    int covered = 0;
    for (std::uint64_t trial = 0; trial < 20'000; ++trial) {
      RandomStream random(41, trial);
      Numbers x, y;
      for (int i = 1; i <= points; ++i) {
        x.push_back(i);
        y.push_back(std::exp(0.3 * random.normal()) / i);
      }
      const metrics::PowerLaw law = metrics::fit_power_law(x, y);
      covered += law.low <= -1.0 && -1.0 <= law.high ? 1 : 0;
    }
    EXPECT_NEAR(covered / 2e4, 0.95, 5.0 * std::sqrt(0.95 * 0.05 / 2e4)) << points << " points";
  }
}

TEST(PowerLaw, LeavesOutWhatHasNoLogarithm) {
  const metrics::PowerLaw law =
      metrics::fit_power_law(Numbers{1, 2, 0, 4, kNaN, 8, kInfinity}, Numbers{1, 2, 3, -4, 5, 8, 7});
  EXPECT_EQ(law.points, 3);
  EXPECT_EQ(law.left_out, 4);
  EXPECT_NEAR(law.exponent, 1.0, kRounding);
}

TEST(PowerLaw, SaysNaNWhereThePointsDoNotDetermineIt) {
  EXPECT_TRUE(std::isnan(metrics::fit_power_law(Numbers{}, Numbers{}).exponent));
  EXPECT_TRUE(std::isnan(metrics::fit_power_law(Numbers{2}, Numbers{3}).exponent));
  EXPECT_TRUE(std::isnan(metrics::fit_power_law(Numbers{3, 3, 3}, Numbers{1, 2, 4}).exponent));
  const metrics::PowerLaw two = metrics::fit_power_law(Numbers{1, 2}, Numbers{1, 4});
  EXPECT_NEAR(two.exponent, 2.0, kRounding);
  EXPECT_TRUE(std::isnan(two.low));
  const metrics::PowerLaw flat = metrics::fit_power_law(Numbers{1, 2, 3}, Numbers{7, 7, 7});
  EXPECT_EQ(flat.exponent, 0.0);
  EXPECT_TRUE(std::isnan(flat.r_squared));
}

TEST(PowerLaw, RefusesUnequalLengths) {
  EXPECT_EQ(complaint_of([] {
              metrics::fit_power_law(Numbers{1}, Numbers{1, 2});
            }),
            "power law: 1 x and 2 y: a point has one of each");
}

TEST(VarianceEntropySensitivity, OfSoftmaxAtSmallVarianceIsMinusOne) {
  // Logits of variance v: H ≈ log N - v/2, so H̃ ≈ 2 log N/v.
  Numbers variance, entropies;
  for (const double v : {0.01, 0.02, 0.04, 0.08}) {
    const double z = std::sqrt(v);  // half of the logits z, half -z
    Numbers row(100);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::exp(i % 2 == 0 ? z : -z);
    variance.push_back(v);
    entropies.push_back(metrics::entropy(rows_of(row, 100)).front().value());
  }
  const metrics::PowerLaw law = metrics::variance_entropy_sensitivity(variance, entropies, 100);
  EXPECT_NEAR(law.exponent, -1.0, 0.05);
  EXPECT_EQ(law.points, 4);
}

TEST(VarianceEntropySensitivity, FitsNormalisedEntropyAndLeavesOutTheEdges) {
  const double maximum = std::log(10.0);
  // H̃ = Var^-2 at 1, 2 and 4, H = log N · H̃/(1 + H̃); the rest is out of range.
  const auto at = [&](double v) { return maximum / (1.0 + v * v); };
  const metrics::PowerLaw law = metrics::variance_entropy_sensitivity(
      Numbers{1, 2, 4, 1e-3, 1e5, 1, 1, kNaN}, Numbers{at(1), at(2), at(4), 1.0, 1.0, 1e-7, maximum - 1e-7, 1.0}, 10);
  EXPECT_NEAR(law.exponent, -2.0, 1e-12);
  EXPECT_EQ(law.points, 3);
  EXPECT_EQ(law.left_out, 5);
}

TEST(VarianceEntropySensitivity, RefusesSingleKeysAndUnequalLengths) {
  EXPECT_EQ(complaint_of([] { metrics::variance_entropy_sensitivity(Numbers{1}, Numbers{1}, 1); }),
            "variance-entropy fit: 1 keys: entropy varies from 2 on");
  EXPECT_NE(complaint_of([] { metrics::variance_entropy_sensitivity(Numbers{1}, Numbers{1, 2}, 4); }), "");
}

}  // namespace
}  // namespace polariscope::testing
