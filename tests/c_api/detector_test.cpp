// The alarms over the C interface are those of the detector.
#include "polariscope/c_api.h"
#include "polariscope/runs/collapse_detector.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

struct Freed {
  void operator()(polariscope_detector* detector) const { polariscope_detector_free(detector); }
};
using Detector = std::unique_ptr<polariscope_detector, Freed>;

std::string last_error() { return polariscope_last_error(); }

// A head whose scores run away at step 40, beside one that does not.
std::vector<runs::HeadReading> readings_at(int step) {
  const double variance = step < 40 ? 2.0 : 2.0 * std::pow(3.0, step - 39);
  return {{1.0, 2.0, 1.5}, {1.0, 2.0, variance}};
}
double gradient_at(int step) { return step < 40 ? 1.0 : 100.0; }

TEST(CDetector, GivesTheAlarmsOfTheDetectorAndGoesOnFromItsState) {
  Detector detector(polariscope_detector_new(1, 2, 16, 1));
  ASSERT_NE(detector, nullptr) << last_error();
  runs::CollapseDetector expected(runs::map_shape(1, 2, 16, true));
  int told = 0;
  for (int step = 1; step <= 60; ++step) {
    if (step == 30) {
      const std::int64_t size = polariscope_detector_state_size(detector.get());
      ASSERT_GT(size, 0);
      std::vector<double> state(size);
      ASSERT_EQ(polariscope_detector_save(detector.get(), state.data()), 0);
      detector.reset(polariscope_detector_new(1, 2, 16, 1));
      ASSERT_EQ(polariscope_detector_restore(detector.get(), state.data(), size), 0) << last_error();
    }
    const auto readings = readings_at(step);
    std::array<double, 2> entropy{}, norm{}, variance{};
    for (int i = 0; i < 2; ++i) {
      entropy[i] = readings[i].entropy, norm[i] = readings[i].frobenius_norm, variance[i] = readings[i].logit_variance;
    }
    std::array<polariscope_alarm, 2> alarms{};
    for (auto& alarm : alarms) alarm.size = sizeof alarm;
    std::int32_t count = -1;
    ASSERT_EQ(polariscope_detector_step(detector.get(), step, gradient_at(step), entropy.data(), norm.data(),
                                        variance.data(), alarms.data(), 2, &count),
              0)
        << last_error();
    const auto right = expected.step(step, gradient_at(step), readings);
    ASSERT_EQ(count, static_cast<int>(right.size())) << step;
    for (int i = 0; i < count; ++i, ++told) {
      EXPECT_EQ(alarms[i].kind, static_cast<int>(right[i].kind));
      EXPECT_EQ(alarms[i].head, right[i].head);
      EXPECT_EQ(alarms[i].layer, right[i].layer);
      EXPECT_EQ(alarms[i].step, step);
      EXPECT_EQ(alarms[i].variance_growth, right[i].variance_growth);
      EXPECT_EQ(alarms[i].words, in_words(right[i]));
    }
  }
  EXPECT_EQ(told, 1);
}

TEST(CDetector, RefusesWhatItCannotTake) {
  EXPECT_EQ(polariscope_detector_new(0, 2, 16, 1), nullptr);
  EXPECT_NE(last_error().find("0 layers"), std::string::npos);
  const Detector detector(polariscope_detector_new(1, 1, 4, 0));
  const double one = 1.0;
  std::int32_t count = 0;
  polariscope_alarm alarm{};
  EXPECT_EQ(polariscope_detector_step(nullptr, 1, 1, &one, &one, &one, nullptr, 0, &count), 1);
  EXPECT_EQ(polariscope_detector_step(detector.get(), 1, 1, nullptr, &one, &one, nullptr, 0, &count), 1);
  EXPECT_NE(last_error().find("entropy is missing"), std::string::npos) << last_error();
  EXPECT_EQ(polariscope_detector_step(detector.get(), 1, 1, &one, &one, &one, &alarm, 1, &count), 1);
  EXPECT_NE(last_error().find("alarm says that its size is 0"), std::string::npos) << last_error();
  EXPECT_EQ(polariscope_detector_step(detector.get(), 1, 1, &one, &one, &one, nullptr, 1, &count), 1);
  EXPECT_EQ(polariscope_detector_step(detector.get(), 1, 1, &one, &one, &one, nullptr, 0, nullptr), 1);
  EXPECT_EQ(polariscope_detector_step(detector.get(), 1, 1, &one, &one, &one, nullptr, 0, &count), 0);
  EXPECT_EQ(polariscope_detector_state_size(nullptr), -1);
  polariscope_detector_free(nullptr);
}

TEST(CDetector, RefusesADamagedState) {
  const Detector detector(polariscope_detector_new(2, 2, 8, 1));
  std::vector<double> state(polariscope_detector_state_size(detector.get()));
  ASSERT_EQ(polariscope_detector_save(detector.get(), state.data()), 0);
  const auto size = static_cast<std::int64_t>(state.size());
  EXPECT_EQ(polariscope_detector_restore(detector.get(), state.data(), size - 1), 1);
  for (const double wrong : {-1.0, 0.5, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    state[0] = wrong;  // how many steps were seen
    EXPECT_EQ(polariscope_detector_restore(detector.get(), state.data(), size), 1) << wrong;
    EXPECT_NE(last_error().find("damaged"), std::string::npos) << last_error();
  }
}

}  // namespace
}  // namespace polariscope::testing
