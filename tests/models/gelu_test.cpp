// The exact GELU and its slope, on every instruction set.
#include "polariscope/models/internal/kernels.h"
#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace polariscope {
namespace {

struct Exact {
  double value, slope;
};
Exact exact(double x) {
  const double below = 0.5 * std::erfc(-x / std::numbers::sqrt2);
  return {x * below, below + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi)};
}

TEST(Gelu, IsWithinItsErrorOnEveryTarget) {
  std::vector<float> points;
  for (int i = -130'000; i <= 130'000; ++i) points.push_back(static_cast<float>(i) * 1e-4F);
  testing::for_each_simd_target([&] {
    std::vector<float> slopes = points, values(points.size());
    const std::vector<float> no_bias(points.size(), 0.0F);
    models::gelu(1, static_cast<std::int64_t>(points.size()), no_bias.data(), slopes.data(), values.data());
    double of_value = 0.0, of_slope = 0.0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double x = points[i];
      const Exact expected = exact(x);
      // The exponent x²/2 is rounded: below 0, where Φ is e^{-x²/2} and nothing else, that is worth x²/2 ulp.
      const double rounded = 1.0 + 0.5 * x * x * (x < 0.0);
      const double size = std::max(std::abs(expected.value), 1e-37);
      of_value = std::max(of_value, std::abs(values[i] - expected.value) / (size * rounded));
      of_slope = std::max(of_slope, std::abs(slopes[i] - expected.slope));
    }
    EXPECT_LT(of_value, 4e-7);
    EXPECT_LT(of_slope, 3.5e-7);
  });
}

TEST(Gelu, AddsTheBiasOfEveryColumnAndWritesNoMore) {
  constexpr std::int64_t kRows = 3;
  testing::for_each_simd_target([] {
    for (std::int64_t width = 0; width <= 67; ++width) {
      std::vector<float> slopes(kRows * width + 1, 7.0F), values(kRows * width + 1, 7.0F), bias(width);
      for (std::int64_t i = 0; i < kRows * width; ++i) slopes[i] = 0.02F * static_cast<float>(i) - 2.0F;
      for (std::int64_t i = 0; i < width; ++i) bias[i] = 0.5F - 0.03F * static_cast<float>(i);
      const std::vector<float> x = slopes;
      models::gelu(kRows, width, bias.data(), slopes.data(), values.data());
      for (std::int64_t i = 0; i < kRows * width; ++i) {
        const Exact expected = exact(x[i] + bias[i % width]);
        ASSERT_NEAR(values[i], expected.value, 1e-6) << i << " of rows of " << width;
        ASSERT_NEAR(slopes[i], expected.slope, 1e-6) << i << " of rows of " << width;
      }
      EXPECT_EQ(values.back(), 7.0F);
      EXPECT_EQ(slopes.back(), 7.0F);
    }
  });
}

template <class T>
void expect_ends() {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> slopes{T(0), T(40), T(-40), T(1e4), T(-1e4), nan, T(-0.0)}, values(slopes.size());
  const std::vector<T> no_bias(slopes.size(), T(0));
  models::gelu(1, static_cast<std::int64_t>(slopes.size()), no_bias.data(), slopes.data(), values.data());
  const std::vector<T> expected{T(0), T(40), T(0), T(1e4), T(0)}, expected_slopes{T(0.5), T(1), T(0), T(1), T(0)};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(values[i], expected[i], 1e-6) << i;
    EXPECT_NEAR(slopes[i], expected_slopes[i], 1e-6) << i;
  }
  EXPECT_TRUE(std::isnan(values[5]) && std::isnan(slopes[5]));
  EXPECT_EQ(values[6], T(0));
}

TEST(Gelu, HasItsEndsAndPassesNaNOn) {
  testing::for_each_simd_target([] {
    expect_ends<float>();
    expect_ends<double>();
  });
}

}  // namespace
}  // namespace polariscope
