#include "polariscope/metrics/entropy_floor.h"

#include "maps.h"
#include "polariscope/metrics/entropy.h"

#include <algorithm>

namespace polariscope::testing {
namespace {

std::vector<double> softmax(std::vector<double> z) {
  const double largest = *std::max_element(z.begin(), z.end());
  double sum = 0.0;
  for (double& value : z) sum += value = std::exp(value - largest);
  for (double& value : z) value /= sum;
  return z;
}

double softmax_entropy(const std::vector<double>& z) {
  return metrics::entropy(rows_of(softmax(z), static_cast<std::int64_t>(z.size()))).front().value();
}

TEST(EntropyFloor, IsLogTWithoutLogitsAndFallsToZero) {
  EXPECT_NEAR(metrics::entropy_floor(10, 0.0), std::log(10.0), kRounding);
  EXPECT_GT(metrics::entropy_floor(10, 1.0), metrics::entropy_floor(10, 2.0));
  EXPECT_NEAR(metrics::entropy_floor(10, 1000.0), 0.0, kRounding);
  EXPECT_EQ(metrics::entropy_floor(10, kInfinity), 0.0);
  EXPECT_EQ(metrics::entropy_floor(1, 5.0), 0.0);
}

TEST(EntropyFloor, IsAttainedByOneLogitAboveEqualOthers) {
  for (const std::int64_t keys : {2, 3, 50}) {
    for (const double norm : {0.1, 1.0, 7.0}) {
      // Lifted by σ √(T/(T-1)), whose centred vector has the norm σ.
      std::vector<double> z(keys, 0.0);
      z[1] = norm * std::sqrt(static_cast<double>(keys) / static_cast<double>(keys - 1));
      EXPECT_NEAR(softmax_entropy(z), metrics::entropy_floor(keys, norm), kRounding * 10.0);
    }
  }
}

TEST(EntropyFloor, IsBelowTheEntropyOfAnyLogitsOfThatNorm) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    RandomStream random(seed, 1);
    std::vector<double> z(2 + seed % 20);
    random.fill_normal(z, 0.01 * static_cast<double>(seed));
    double mean = 0.0, squares = 0.0;
    for (const double value : z) mean += value / static_cast<double>(z.size());
    for (const double value : z) squares += (value - mean) * (value - mean);
    EXPECT_GE(softmax_entropy(z),
              metrics::entropy_floor(static_cast<std::int64_t>(z.size()), std::sqrt(squares)) - kRounding)
        << "seed " << seed;
  }
}

TEST(EntropyFloor, RefusesNoKeysAndNormsThatAreNone) {
  EXPECT_EQ(complaint_of([] { metrics::entropy_floor(0, 1.0); }), "entropy floor: 0 keys: at least 1 is needed");
  EXPECT_EQ(complaint_of([] { metrics::entropy_floor(4, -1.0); }),
            "entropy floor: a norm of -1: it must not be negative");
  EXPECT_NE(complaint_of([] { metrics::entropy_floor(4, kNaN); }), "");
}

}  // namespace
}  // namespace polariscope::testing
