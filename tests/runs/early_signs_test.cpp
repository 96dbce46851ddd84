// What the first steps of a training say: trends of known curves.
#include "polariscope/runs/early_signs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::runs {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Two heads, the first of which falls by e^-0.02 a step and the other stays.
std::vector<WatchedStep> falling(int count) {
  std::vector<WatchedStep> steps;
  for (int i = 0; i < count; ++i) {
    const double fall = std::exp(-0.02 * i);
    steps.push_back({.step = i + 1,
                     .loss = 3.0 / fall,
                     .gradient_norm = i == 7 ? 50.0 : 2.0,
                     .readings = {{fall, 1.0 / fall, 5.0 / fall / fall}, {2.0, 1.0 / fall, 1e-9}}});
  }
  return steps;
}

TEST(EarlySigns, AreTrendsOfLogarithmsAndTheEnds) {
  const EarlySigns signs = early_signs(falling(40), 0.25);
  EXPECT_NEAR(signs[0], -0.02 * 40, 1e-12);
  EXPECT_LT(signs[1], 0.0);
  EXPECT_GT(signs[1], signs[0]);
  EXPECT_NEAR(signs[2], 0.04 * 40, 1e-6);
  EXPECT_NEAR(signs[3], 0.02 * 40, 1e-12);
  EXPECT_NEAR(signs[4], 0.02 * 40, 1e-12);
  EXPECT_NEAR(signs[5], std::log(25.0), 1e-12);
  EXPECT_NEAR(signs[6], std::log(0.25), 1e-12);
  EXPECT_NEAR(signs[7], -0.02 * 35.5, 1e-12) << "steps 32 to 39, counted from 0";
  EXPECT_NEAR(signs[8], std::log(5.0) + 0.04 * 35.5, 1e-12);
}

TEST(EarlySigns, PassOverWhatIsNotThere) {
  std::vector<WatchedStep> steps = falling(40);
  const EarlySigns whole = early_signs(steps, 1.0);
  for (const std::size_t i : {3U, 20U, 39U}) {
    steps[i].readings[0] = {kNan, kNan, kNan};
    steps[i].readings[1].entropy = kNan;
    steps[i].loss = kNan;
  }
  const EarlySigns some = early_signs(steps, 1.0);
  for (const std::size_t i : {0U, 4U}) EXPECT_NEAR(some[i], whole[i], 1e-9) << kEarlySigns.at(i);
  for (WatchedStep& step : steps) step = {.step = step.step, .loss = kNan, .gradient_norm = kNan, .readings = {}};
  for (const double sign : early_signs(steps, 1.0)) EXPECT_EQ(sign, 0.0);
}

}  // namespace
}  // namespace polariscope::runs
