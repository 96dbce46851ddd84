#include "polariscope/metrics/kurtosis.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

double kurtosis_of(const std::vector<double>& hidden) { return metrics::kurtosis(std::span<const double>(hidden)); }

TEST(Kurtosis, OfHandMadeNumbers) {
  EXPECT_NEAR(kurtosis_of({-1, 1, 1, -1}), 1.0, kRounding);  // the least there is
  // One of five: mean 1/5, Σd² = 4/5, Σd⁴ = (4/5)⁴ + 4 (1/5)⁴ = 260/625; (260/3125)/(4/25)² = 3.25.
  EXPECT_NEAR(kurtosis_of({0, 0, 1, 0, 0}), 3.25, kRounding);
}

TEST(Kurtosis, DoesNotDependOnShiftAndScale) {
  const double plain = kurtosis_of({1, 2, 4, 9});
  EXPECT_NEAR(kurtosis_of({3e-200, 4e-200, 6e-200, 11e-200}), plain, 1e-13);
  EXPECT_NEAR(kurtosis_of({1e200, 2e200, 4e200, 9e200}), plain, 1e-13);
}

TEST(Kurtosis, OfNormalNumbersIsThree) {
  std::vector<double> normal(100'000);
  RandomStream(31, 0).fill_normal(normal, 2.0);
  EXPECT_NEAR(kurtosis_of(normal), 3.0, 5.0 * std::sqrt(24.0 / 1e5));  // five standard errors
}

TEST(Kurtosis, IsUndefinedForEqualNumbersNoneAndThoseThatAreNotFinite) {
  for (const auto& hidden : {std::vector<double>{}, {0.1, 0.1, 0.1}, {2.0}, {1.0, kNaN}, {kNaN, 1.0}, {kInfinity, 1.0}})
    EXPECT_TRUE(std::isnan(kurtosis_of(hidden)));
}

}  // namespace
}  // namespace polariscope::testing
