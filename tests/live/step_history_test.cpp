// A run in bounded memory: what every bucket of steps keeps.
#include "polariscope/live/step_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::testing {
namespace {

using live::StepHistory;

runs::LoggedStep logged(std::int64_t step, double loss) {
  return {.step = step, .numbers = {{"loss", loss}}, .heads = {{"entropy", {{loss, 3 * loss}, {1.0}}}}};
}

TEST(StepHistory, KeepsEveryStepOfAShortRun) {
  StepHistory history;
  for (int step = 1; step <= 5; ++step) history.add(logged(step, 0.5 * step));
  EXPECT_EQ(history.width(), 1U);
  EXPECT_EQ(history.first_steps(), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(history.last_steps(), history.first_steps());
  const StepHistory::Curve& loss = history.numbers().at("loss");
  ASSERT_EQ(loss.size(), 5U);
  EXPECT_EQ(loss[3].mean, 2.0F);
  EXPECT_EQ(loss[3].low, loss[3].high);
  EXPECT_EQ(history.heads().at("entropy").layers[0][1].mean, 2.0F) << "the mean over heads";
  EXPECT_EQ(history.heads().at("entropy").heads[0][1][1].mean, 3.0F);
}

TEST(StepHistory, AMillionStepsKeepTheirSpikeAndTheirMeans) {
  constexpr int kSteps = 1'000'000, kSpike = 123'457;
  StepHistory history;
  for (int step = 1; step <= kSteps; ++step) {
    history.add({.step = step, .numbers = {{"loss", step == kSpike ? 1e6 : step % 2 == 0 ? 1.0 : 3.0}}, .heads = {}});
  }
  EXPECT_LE(history.buckets(), StepHistory::kMostBuckets);
  EXPECT_GE(history.buckets(), StepHistory::kMostBuckets / 2);
  EXPECT_EQ(history.first_steps().front(), 1);
  EXPECT_EQ(history.last_steps().back(), kSteps);
  const StepHistory::Curve& loss = history.numbers().at("loss");
  int spikes = 0;
  std::uint64_t steps = 0;
  for (std::size_t i = 0; i < history.buckets(); ++i) {
    if (i > 0) {
      ASSERT_EQ(history.first_steps()[i], history.last_steps()[i - 1] + 1);
    }
    const bool has_spike = history.first_steps()[i] <= kSpike && kSpike <= history.last_steps()[i];
    EXPECT_EQ(loss[i].high, has_spike ? 1e6F : 3.0F);
    EXPECT_EQ(loss[i].low, 1.0F);
    // Single precision: a mean of a thousand values in ten joins.
    if (!has_spike) {
      EXPECT_NEAR(loss[i].mean, 2.0, 1e-4) << i;
    }
    spikes += has_spike ? 1 : 0;
    steps += loss[i].finite;
  }
  EXPECT_EQ(spikes, 1);
  EXPECT_EQ(steps, static_cast<std::uint64_t>(kSteps));
}

TEST(StepHistory, WhatIsNotFiniteIsLeftOut) {
  StepHistory history;
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= 3000; ++step)
    history.add(logged(step, step <= 1500 ? 2.0 : step % 2 == 0 ? nan : infinity));
  const StepHistory::Curve& loss = history.numbers().at("loss");
  EXPECT_EQ(loss.front().mean, 2.0F);
  EXPECT_TRUE(std::isnan(loss.back().mean));
  EXPECT_EQ(loss.back().finite, 0U);
}

TEST(StepHistory, AColumnThatBeginsLateHasNothingBefore) {
  StepHistory history;
  history.add({.step = 1, .numbers = {{"loss", 1.0}}, .heads = {}});
  history.add(logged(2, 1.0));
  history.add({.step = 3, .numbers = {{"loss", 1.0}}, .heads = {}});
  const StepHistory::HeadCurves& entropy = history.heads().at("entropy");
  ASSERT_EQ(entropy.layers.at(1).size(), 3U);
  EXPECT_TRUE(std::isnan(entropy.layers[1][0].mean));
  EXPECT_EQ(entropy.layers[1][1].mean, 1.0F);
  EXPECT_TRUE(std::isnan(entropy.heads[1][0][2].mean));
}

TEST(StepHistory, AStepThatDoesNotGrowIsPassedOver) {
  StepHistory history;
  for (const int step : {1, 2, 2, 1, 3}) history.add(logged(step, step));
  EXPECT_EQ(history.last_steps(), (std::vector<std::int64_t>{1, 2, 3}));
}

TEST(StepHistory, SeveralStepsApartAreAsGood) {
  StepHistory history;
  for (std::int64_t step = 0; step < 5000; ++step) history.add(logged(10 * step, 1.0));
  EXPECT_LE(history.buckets(), StepHistory::kMostBuckets);
  EXPECT_EQ(history.last_steps().back(), 49'990);
  EXPECT_TRUE(std::ranges::is_sorted(history.first_steps()));
}

}  // namespace
}  // namespace polariscope::testing
