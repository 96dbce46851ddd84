// fast_exp on every instruction set that this machine has, against the long double exponential.
// The order of these includes is Highway's.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reweighting/exp_test.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "polariscope/reweighting/exp-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// y = fast_exp(x), `count` is a multiple of 8.
void ExpOf(const double* x, double* y, int count) {
  const hn::ScalableTag<double> d;
  for (int i = 0; i < count; i += static_cast<int>(hn::Lanes(d)))
    hn::StoreU(fast_exp(d, hn::LoadU(d, x + i)), d, y + i);
}

// The narrow vector that numbers of a whole row are computed with.
void ExpOfOne(const double* x, double* y, int count) {
  const hn::CappedTag<double, 1> d;
  for (int i = 0; i < count; ++i) y[i] = hn::GetLane(fast_exp(d, hn::Set(d, x[i])));
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "polariscope/base/random.h"
#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope {
namespace {

HWY_EXPORT(ExpOf);
HWY_EXPORT(ExpOfOne);

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> exp_of(const std::vector<double>& x) {
  std::vector<double> y(x.size());
  HWY_DYNAMIC_DISPATCH(ExpOf)(x.data(), y.data(), static_cast<int>(x.size()));
  return y;
}

// |y - e^x| in units of the last place of e^x.
double error_in_ulp(double x, double y) {
  const long double exact = expl(static_cast<long double>(x));
  const auto nearest = static_cast<double>(exact);
  const double ulp = std::nextafter(nearest, kInfinity) - nearest;
  return static_cast<double>(std::abs(static_cast<long double>(y) - exact) / ulp);
}

// The long double must carry more digits than the double it judges.
bool long_double_is_longer() { return std::numeric_limits<long double>::digits > 60; }

// What fast_exp promises: 1.5 ulp for |x| <= 40, 5 ulp beyond, where a rounding of x is worth hundreds.
double allowed_error(double x) { return std::abs(x) <= 40.0 ? 1.5 : 5.0; }

// Largest error as a fraction of what is allowed.
double largest_error(const std::vector<double>& x) {
  const std::vector<double> y = exp_of(x);
  double largest = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    largest = std::max(largest, error_in_ulp(x[i], y[i]) / allowed_error(x[i]));
  return largest;
}

TEST(FastExp, StaysWithinItsErrorOnAGridOverItsRange) {
  if (!long_double_is_longer()) GTEST_SKIP() << "long double is no longer than double here";
  std::vector<double> x(1 << 18);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = -708.0 + 1416.0 * static_cast<double>(i) / (x.size() - 1.0);
  testing::for_each_simd_target([&] { EXPECT_LE(largest_error(x), 1.0); });
}

TEST(FastExp, StaysWithinItsErrorOnRandomNumbersOfEveryScale) {
  if (!long_double_is_longer()) GTEST_SKIP() << "long double is no longer than double here";
  constexpr std::uint64_t kSeed = 20;
  RandomStream random(kSeed, 0);
  for (const double scale : {1e-300, 1e-20, 1e-8, 1e-3, 0.3, 1.0, 30.0, 708.0}) {
    std::vector<double> x(1 << 15);
    for (double& value : x) value = scale * (2.0 * random.uniform() - 1.0);
    testing::for_each_simd_target([&] { EXPECT_LE(largest_error(x), 1.0) << "seed " << kSeed << ", scale " << scale; });
  }
}

// Halves of ln 2 are where the reduction changes its integer and the polynomial is at its ends.
TEST(FastExp, StaysWithinItsErrorAroundTheEndsOfTheReduction) {
  if (!long_double_is_longer()) GTEST_SKIP() << "long double is no longer than double here";
  std::vector<double> x;
  for (int n = -2042; n <= 2042; ++n) {
    const double end = n * 0.34657359027997264;
    for (int near = -4; near < 4; ++near) x.push_back(end * (1.0 + near * 0x1p-52));
  }
  testing::for_each_simd_target([&] { EXPECT_LE(largest_error(x), 1.0); });
}

TEST(FastExp, HasExactLimits) {
  constexpr double kAbove = 708.0000001;
  const std::vector<double> x{kNan, kInfinity, -kInfinity, 1e300, -1e300, kAbove, -kAbove, 0.0, -0.0, -kNan, 1e4, -1e4};
  const std::vector<double> expected{kNan, kInfinity, 0.0, kInfinity, 0.0,       kInfinity,
                                     0.0,  1.0,       1.0, kNan,      kInfinity, 0.0};
  testing::for_each_simd_target([&] {
    for (std::size_t i = 0; i < x.size(); ++i) {
      // Each number in every lane of the widest vector (eight doubles).
      for (const double y : exp_of(std::vector<double>(8, x[i]))) {
        if (std::isnan(expected[i])) {
          EXPECT_TRUE(std::isnan(y)) << "e^" << x[i];
        } else {
          EXPECT_EQ(y, expected[i]) << "e^" << x[i];
        }
      }
    }
  });
}

TEST(FastExp, GivesTheSameBitsInANarrowVector) {
  RandomStream random(21, 0);
  std::vector<double> x(1024);
  for (double& value : x) value = 750.0 * (2.0 * random.uniform() - 1.0);
  testing::for_each_simd_target([&] {
    std::vector<double> one(x.size());
    HWY_DYNAMIC_DISPATCH(ExpOfOne)(x.data(), one.data(), static_cast<int>(x.size()));
    EXPECT_EQ(one, exp_of(x));
  });
}

}  // namespace
}  // namespace polariscope
#endif  // HWY_ONCE
