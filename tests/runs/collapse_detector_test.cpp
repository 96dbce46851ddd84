// Alarms on series that are made up, so that what must be said is known.
#include "polariscope/runs/collapse_detector.h"

#include "support/complaint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace polariscope::testing {
namespace {

constexpr int kTokens = 20;
const double kUniform = std::log(kTokens);
const double kNaN = std::numeric_limits<double>::quiet_NaN();

runs::HeadReading healthy() { return {.entropy = 0.9 * kUniform, .frobenius_norm = 1.2, .logit_variance = 2.0}; }
// A head on few tokens.
runs::HeadReading narrow(double logit_variance) {
  return {.entropy = 0.05 * kUniform, .frobenius_norm = 0.96 * std::sqrt(kTokens), .logit_variance = logit_variance};
}
// From 1e3 on, by 2 % a step.
runs::HeadReading collapsing(int step) { return narrow(1e3 * std::exp(0.02 * step)); }

using Series = std::function<runs::HeadReading(int step)>;

// The alarms of one head over `steps` steps.
std::vector<runs::Alarm> alarms(int steps, const Series& head, const std::function<double(int)>& gradient = {}) {
  runs::CollapseDetector detector(runs::map_shape(1, 1, kTokens, false));
  std::vector<runs::Alarm> all;
  for (int step = 1; step <= steps; ++step) {
    const std::vector<runs::HeadReading> readings{head(step)};
    for (const runs::Alarm& alarm : detector.step(step, gradient ? gradient(step) : 1.0, readings))
      all.push_back(alarm);
  }
  return all;
}

TEST(CollapseDetector, SaysNothingToAHealthyHead) {
  EXPECT_TRUE(alarms(2000, [](int step) {
                runs::HeadReading reading = healthy();
                reading.logit_variance *= 1.0 + 0.5 * std::sin(step);
                return reading;
              }).empty());
}

TEST(CollapseDetector, SaysNothingToAHeadOnFewTokensWhoseScoresStandStill) {
  EXPECT_TRUE(alarms(2000, [](int) { return narrow(1e5); }).empty());
}

TEST(CollapseDetector, SaysNothingToASlowHealthyLossOfEntropy) {
  EXPECT_TRUE(alarms(3000, [](int step) {
                runs::HeadReading reading = narrow(100.0 * std::exp(1e-3 * step));
                reading.entropy = kUniform * std::max(0.1, 1.0 - step / 1000.0);
                return reading;
              }).empty());
}

TEST(CollapseDetector, SaysNothingToALayerThatJumpsAndThenStandsStill) {
  EXPECT_TRUE(alarms(1000, [](int step) { return step < 300 ? healthy() : narrow(2e4); }).empty());
}

TEST(CollapseDetector, TellsACollapseOnceWithItsNumbers) {
  const std::vector<runs::Alarm> all = alarms(500, collapsing);
  ASSERT_EQ(all.size(), 1U);
  const runs::Alarm& alarm = all.front();
  EXPECT_EQ(alarm.kind, runs::AlarmKind::kCollapse);
  // Growth is known after kGrowthSteps, and must then last.
  EXPECT_EQ(alarm.step, runs::CollapseDetector::kGrowthSteps + runs::AlarmThresholds{}.collapse_steps);
  EXPECT_NEAR(alarm.relative_entropy, 0.05, 1e-12);
  EXPECT_NEAR(alarm.norm_share, 0.96, 1e-12);
  EXPECT_NEAR(alarm.variance_growth, 0.02, 1e-3);
  const std::string words = runs::in_words(alarm);
  EXPECT_NE(words.find("collapse under way in layer 1, head 1"), std::string::npos) << words;
}

TEST(CollapseDetector, TellsARunawayByVarianceAndGradientTogether) {
  const auto grows = [](int step) {
    runs::HeadReading reading = healthy();
    if (step >= 100) reading.logit_variance *= std::pow(3.0, step - 99);
    return reading;
  };
  const auto steep = [](int step) { return step >= 102 ? 30.0 : 1.0; };
  const std::vector<runs::Alarm> all = alarms(104, grows, steep);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().kind, runs::AlarmKind::kRunaway);
  EXPECT_EQ(all.front().step, 102);
  EXPECT_NEAR(all.front().variance_growth, 27.0, 1e-9);
  EXPECT_NEAR(all.front().gradient_factor, 30.0, 1e-12);
  EXPECT_TRUE(alarms(104, grows).empty()) << "the gradient stayed as it was";
  EXPECT_TRUE(alarms(
                  104, [](int) { return healthy(); }, steep)
                  .empty())
      << "the variance stayed as it was";
}

TEST(CollapseDetector, TakesTheMeanOfTheMiddleTwoOfAnEvenNumberOfGradientsAsTheirMedian) {
  const auto grows = [](int step) {
    runs::HeadReading reading = healthy();
    if (step >= 101) reading.logit_variance *= 20.0;
    return reading;
  };
  // The last 64 are as many ones as threes: 48 is 24 times their median, and only 16 times the upper of the middle two.
  const auto gradient = [](int step) { return step >= 101 ? 48.0 : step % 2 == 0 ? 1.0 : 3.0; };
  const std::vector<runs::Alarm> all = alarms(101, grows, gradient);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().kind, runs::AlarmKind::kRunaway);
  EXPECT_DOUBLE_EQ(all.front().gradient_factor, 24.0);
}

TEST(CollapseDetector, SaysNothingOfAVarianceTooSmallToMatter) {
  EXPECT_TRUE(alarms(
                  200,
                  [](int step) {
                    runs::HeadReading reading = healthy();
                    reading.logit_variance = step < 100 ? 0.0 : 0.5;
                    return reading;
                  },
                  [](int step) { return step < 100 ? 1.0 : 100.0; })
                  .empty());
}

TEST(CollapseDetector, PassesOverWhatIsNotFinite) {
  // Every third reading is lost; the alarm comes after as many that were not.
  const std::vector<runs::Alarm> all = alarms(300, [](int step) {
    runs::HeadReading reading = collapsing(step);
    if (step % 3 == 0) reading.logit_variance = step % 2 == 0 ? kNaN : INFINITY;
    return reading;
  });
  ASSERT_EQ(all.size(), 1U);
  EXPECT_NEAR(static_cast<double>(all.front().step), 70 * 1.5, 2.0);
  EXPECT_TRUE(std::isfinite(all.front().logit_variance));
  EXPECT_TRUE(alarms(300, collapsing, [](int) { return kNaN; }).empty());
}

TEST(CollapseDetector, TellsAgainAfterTheSignWasGone) {
  const int quiet = runs::AlarmThresholds{}.quiet_steps;
  for (const int pause : {quiet / 2, 3 * quiet}) {
    const std::vector<runs::Alarm> all = alarms(
        400 + pause, [&](int step) { return step > 200 && step <= 200 + pause ? healthy() : collapsing(step % 201); });
    EXPECT_EQ(all.size(), pause > quiet ? 2U : 1U) << pause;
  }
}

TEST(CollapseDetector, NamesTheOneHeadOfMany) {
  runs::CollapseDetector detector(runs::map_shape(3, 4, kTokens, false));
  std::vector<runs::Alarm> all;
  for (int step = 1; step <= 200; ++step) {
    std::vector<runs::HeadReading> readings(12, healthy());
    readings[6] = collapsing(step);
    for (const runs::Alarm& alarm : detector.step(step, 1.0, readings)) all.push_back(alarm);
  }
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.front().layer, 2);
  EXPECT_EQ(all.front().head, 3);
}

TEST(CollapseDetector, RefusesAnotherNumberOfHeads) {
  runs::CollapseDetector detector(runs::map_shape(2, 2, kTokens, false));
  const std::vector<runs::HeadReading> readings(3);
  EXPECT_EQ(complaint_of([&] { detector.step(7, 1.0, readings); }),
            "alarms: step 7 has readings of 3 heads, expected 4");
}

TEST(MapShape, OfACausalMapHasTheMeanOfLogI) {
  EXPECT_DOUBLE_EQ(runs::map_shape(1, 1, 3, true).uniform_entropy, (std::log(2.0) + std::log(3.0)) / 3.0);
  EXPECT_DOUBLE_EQ(runs::map_shape(1, 1, 3, false).uniform_entropy, std::log(3.0));
}

// A training of two heads with gaps, both signs and an exploding end: every kind of number of the state is in use.
struct Training {
  static constexpr int kSteps = 400;
  static double gradient(int step) { return step % 97 == 0 ? kNaN : step > 300 ? std::exp(0.3 * (step - 300)) : 1.0; }
  static std::vector<runs::HeadReading> readings(int step) {
    runs::HeadReading running = healthy();
    running.logit_variance = step > 300 ? std::exp(0.5 * (step - 300)) : 2.0 + std::sin(step);
    return {step % 53 == 0    ? runs::HeadReading{.entropy = kNaN}
            : step % 150 > 90 ? healthy()
                              : collapsing(step % 150),
            running};
  }
  static std::vector<runs::Alarm> advance(runs::CollapseDetector& detector, int from, int to) {
    std::vector<runs::Alarm> all;
    for (int step = from; step <= to; ++step) {
      for (const runs::Alarm& alarm : detector.step(step, gradient(step), readings(step))) all.push_back(alarm);
    }
    return all;
  }
};

TEST(CollapseDetectorState, GoesOnWithTheSameNumbersFromAnyStep) {
  const runs::MapShape shape = runs::map_shape(1, 2, kTokens, false);
  runs::CollapseDetector whole(shape);
  const std::vector<runs::Alarm> expected = Training::advance(whole, 1, Training::kSteps);
  ASSERT_GE(expected.size(), 3U);
  for (const int cut : {0, 1, 7, 49, 64, 65, 130, 297, 303, 399}) {
    runs::CollapseDetector before(shape), after(shape);
    std::vector<runs::Alarm> alarms = Training::advance(before, 1, cut);
    after.restore(before.state());
    EXPECT_EQ(after.state(), before.state()) << cut;
    for (const runs::Alarm& alarm : Training::advance(after, cut + 1, Training::kSteps)) alarms.push_back(alarm);
    ASSERT_EQ(alarms.size(), expected.size()) << cut;
    for (std::size_t i = 0; i < alarms.size(); ++i) EXPECT_EQ(in_words(alarms[i]), in_words(expected[i])) << cut;
    EXPECT_EQ(after.state(), whole.state()) << cut;
  }
}

TEST(CollapseDetectorState, OfOtherHeadsIsRefused) {
  runs::CollapseDetector one(runs::map_shape(1, 1, kTokens, false)), two(runs::map_shape(1, 2, kTokens, false));
  const std::string complaint = complaint_of([&] { two.restore(one.state()); });
  EXPECT_NE(complaint.find("2 heads"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace polariscope::testing
