// Golden frequencies are those of the formulas in double, computed outside the project; transformers agrees in float32.
#include "polariscope/models/pretrained/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace polariscope::models {
namespace {

void expect_table(const Rotary& rotary, std::int64_t length, const std::vector<double>& frequencies, double factor) {
  const RotaryTable table = rotary_table(rotary, length);
  EXPECT_NEAR(table.factor, factor, 1e-14);
  ASSERT_EQ(table.frequencies.size(), frequencies.size());
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    EXPECT_NEAR(table.frequencies[i], frequencies[i], 1e-14 * frequencies[i]) << "pair " << i;
  }
}

TEST(RotaryTable, FallsAsPowersOfTheta) {
  expect_table({.theta = 10000.0, .width = 8}, 3, {1.0, 0.1, 0.01, 0.001}, 1.0);
}

TEST(RotaryTable, LinearScalingDividesAll) {
  expect_table({.theta = 10000.0, .width = 8, .scaling = RotaryScaling::kLinear, .factor = 4.0}, 3,
               {0.25, 0.025, 0.0025, 0.00025}, 1.0);
}

TEST(RotaryTable, DynamicScalingBeginsBehindTheMaximumLength) {
  const Rotary rotary{
      .theta = 300.0, .width = 8, .scaling = RotaryScaling::kDynamic, .factor = 2.0, .maximum_length = 16};
  expect_table(rotary, 24, {1.0, 0.19071126832393528, 0.03637078786572404, 0.006936319083813028}, 1.0);
  const RotaryTable plain = rotary_table({.theta = 300.0, .width = 8}, 16);
  expect_table(rotary, 16, plain.frequencies, 1.0);
  expect_table(rotary, 3, plain.frequencies, 1.0);
}

TEST(RotaryTable, Llama3HasThreeZonesOfWavelengths) {
  expect_table({.theta = 10000.0,
                .width = 16,
                .scaling = RotaryScaling::kLlama3,
                .factor = 8.0,
                .low_frequency_factor = 1.0,
                .high_frequency_factor = 4.0,
                .original_length = 64},
               3,
               {1.0, 0.24438459943539834, 0.013042256043820465, 0.003952847075210474, 0.00125, 0.0003952847075210474,
                0.000125, 3.952847075210474e-05},
               1.0);
}

TEST(RotaryTable, YarnRampsBetweenTwoPairs) {
  Rotary rotary{.theta = 1000.0,
                .width = 16,
                .scaling = RotaryScaling::kYarn,
                .factor = 4.0,
                .beta_fast = 4.0,
                .beta_slow = 1.0,
                .original_length = 96};
  const double factor = 0.1 * std::log(4.0) + 1.0;
  expect_table(rotary, 3,
               {1.0, 0.4216965034285822, 0.13337095575291924, 0.037494710466622796, 0.007905694150420948,
                0.00333380358040831, 0.0014058533129758727, 0.0005928434264154138},
               factor);
  rotary.truncate = false;
  expect_table(rotary, 3,
               {1.0, 0.4216965034285822, 0.1406187980695847, 0.02426743705669018, 0.007905694150420948,
                0.00333380358040831, 0.0014058533129758727, 0.0005928434264154138},
               factor);
  rotary.mscale = rotary.mscale_all_dim = 1.0;
  EXPECT_DOUBLE_EQ(rotary_table(rotary, 3).factor, 1.0);
  rotary.attention_factor = 1.25;
  EXPECT_DOUBLE_EQ(rotary_table(rotary, 3).factor, 1.25);
}

TEST(RotaryTable, LongRopeHasOneListUpToTheOriginalLengthAndOneBeyond) {
  const Rotary rotary{.theta = 10000.0,
                      .width = 8,
                      .scaling = RotaryScaling::kLongRope,
                      .factor = 4.0,
                      .original_length = 16,
                      .short_factor = {1.0, 1.1, 1.3, 1.6},
                      .long_factor = {1.2, 2.0, 4.5, 9.0}};
  expect_table(rotary, 16, {1.0, 0.09090909090909091, 0.007692307692307692, 0.000625}, 1.224744871391589);
  expect_table(rotary, 17, {0.8333333333333334, 0.05, 0.0022222222222222222, 0.00011111111111111112},
               1.224744871391589);
}

TEST(RotaryTable, DivisorsDivideEachFrequency) {
  expect_table({.theta = 10000.0, .width = 8, .scaling = RotaryScaling::kDivisors, .divisors = {1.0, 2.0, 4.0, 8.0}}, 3,
               {1.0, 0.05, 0.0025, 0.000125}, 1.0);
}

}  // namespace
}  // namespace polariscope::models
