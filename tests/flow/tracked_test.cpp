// Tracked functions on every instruction set that this machine has, along walks of small and large steps.
// The order of these includes is Highway's.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "flow/tracked_test.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "polariscope/flow/internal/tracked-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {
using namespace flow::HWY_NAMESPACE;

// y_i = e^x_i, one call after the other; lane 0 alone moves.
void TrackedExpOf(const double* x, double* y, int count) {
  TrackedExp<AlongTokens> exp(1);
  for (int i = 0; i < count; ++i) y[i] = hn::GetLane(exp(hn::Set(hn::ScalableTag<double>(), x[i])));
}

// y_i = 1/(1 + e^z_i).
void TrackedSigmoidOf(const double* z, double* y, int count) {
  const AlongTokens::Whole math;
  TrackedSigmoid<AlongTokens::Whole> sigmoid;
  for (int i = 0; i < count; ++i) y[i] = hn::GetLane(sigmoid(math, math.constant(z[i])));
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "polariscope/base/random.h"
#include "support/simd_targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace polariscope {
namespace {

HWY_EXPORT(TrackedExpOf);
HWY_EXPORT(TrackedSigmoidOf);

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kSeed = 22;

std::vector<double> tracked_exp(const std::vector<double>& x) {
  std::vector<double> y(x.size());
  HWY_DYNAMIC_DISPATCH(TrackedExpOf)(x.data(), y.data(), static_cast<int>(x.size()));
  return y;
}

std::vector<double> tracked_sigmoid(const std::vector<double>& z) {
  std::vector<double> y(z.size());
  HWY_DYNAMIC_DISPATCH(TrackedSigmoidOf)(z.data(), y.data(), static_cast<int>(z.size()));
  return y;
}

// Up to `end` and back to `start`, each step up to `size`.
std::vector<double> walk(double start, double end, double size) {
  RandomStream random(kSeed, 0);
  std::vector<double> x{start};
  while (x.back() < end) x.push_back(x.back() + size * random.uniform());
  while (x.back() > start) x.push_back(x.back() - size * random.uniform());
  return x;
}

TEST(Tracked, ExpIsWithinTwoUlpWhereverTheWalkGoes) {
  testing::for_each_simd_target([] {
    for (const double size : {1e-4, 1e-2, 0.05, 1.0, 30.0}) {
      const std::vector<double> x = walk(-40.0, 30.0, size);
      const std::vector<double> y = tracked_exp(x);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(y[i] / std::exp(x[i]), 1.0, 5e-16) << "x " << x[i] << ", steps of " << size;
      }
    }
  });
}

TEST(Tracked, SigmoidKeepsItsRelativeErrorInTheTail) {
  testing::for_each_simd_target([] {
    for (const double size : {1e-4, 1e-2, 0.05, 1.0, 30.0}) {
      const std::vector<double> z = walk(-40.0, 60.0, size);
      const std::vector<double> y = tracked_sigmoid(z);
      for (std::size_t i = 0; i < z.size(); ++i) {
        ASSERT_NEAR(y[i] * (1.0 + std::exp(z[i])), 1.0, 1e-15) << "z " << z[i] << ", steps of " << size;
      }
    }
  });
}

TEST(Tracked, NoLimitIsRememberedAsANeighbour) {
  const std::vector<double> x{0.0,  1e4, 1e4,       1.0,       -1e4, -1e4,       1.0, kNan,
                              kNan, 1.0, kInfinity, kInfinity, 1.0,  -kInfinity, 1.0};
  testing::for_each_simd_target([&] {
    const std::vector<double> exp = tracked_exp(x);
    const std::vector<double> sigmoid = tracked_sigmoid(x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(exp[i]) && std::isnan(sigmoid[i])) << i;
        continue;
      }
      const double expected = std::exp(x[i]);
      EXPECT_TRUE(exp[i] == expected || std::abs(exp[i] / expected - 1.0) < 5e-16) << i << ": " << exp[i];
      EXPECT_NEAR(sigmoid[i], 1.0 / (1.0 + expected), 1e-15) << i;
    }
  });
}

}  // namespace
}  // namespace polariscope
#endif  // HWY_ONCE
