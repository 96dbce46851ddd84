#include "polariscope/report/internal/thin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace polariscope::report {
namespace {

TEST(Thin, KeepsAFewPointsAsTheyAre) {
  const std::vector<double> x = {1, 2, 3}, y = {3, 1, 2};
  EXPECT_EQ(report::thin(x, y, report::Scale::kLinear, report::Scale::kLinear, 100),
            (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Thin, KeepsTheEndsAndEveryExtreme) {
  std::vector<double> x, y;
  for (int i = 0; i < 100000; ++i) {
    x.push_back(i);
    y.push_back(std::sin(0.001 * i));
  }
  y[31234] = 50;
  y[71234] = -50;
  const auto kept = report::thin(x, y, report::Scale::kLinear, report::Scale::kLinear, 200);
  EXPECT_LE(kept.size(), 210u);
  for (const std::size_t point : {0, 31234, 71234, 99999})
    EXPECT_TRUE(std::ranges::binary_search(kept, point)) << point;
  EXPECT_TRUE(std::ranges::is_sorted(kept));
}

TEST(Thin, OnALogarithmicAxisEveryDecadeKeepsItsShare) {
  std::vector<double> x, y;
  for (int i = 1; i <= 1000000; ++i) {
    x.push_back(i);
    y.push_back(1.0 / i);
  }
  const auto kept = report::thin(x, y, report::Scale::kLog, report::Scale::kLog, 120);
  const auto early = std::ranges::count_if(kept, [](std::size_t i) { return i < 1000; });
  EXPECT_GT(early, 30);  // half of the axis; a linear cut would leave it one point
}

TEST(Thin, SpansTheDoublesFromEndToEnd) {
  std::vector<double> x, y;
  for (int e = -300; e <= 300; ++e) {
    x.push_back(std::pow(10.0, e));
    y.push_back(e % 2 == 0 ? std::numeric_limits<double>::max() : -std::numeric_limits<double>::max());
  }
  EXPECT_LE(report::thin(x, y, report::Scale::kLog, report::Scale::kLinear, 50).size(), 60u);
  EXPECT_LE(report::thin(y, x, report::Scale::kLinear, report::Scale::kLog, 50).size(), 60u);
}

TEST(Thin, LeavesOutWhatHasNoPlaceOnTheAxisAndKeepsGaps) {
  const double nan = std::nan("");
  const std::vector<double> x = {0, -1, nan, 1, 2, 3}, y = {1, 1, 1, 1, nan, 1};
  EXPECT_EQ(report::thin(x, y, report::Scale::kLog, report::Scale::kLinear, 100), (std::vector<std::size_t>{3, 4, 5}));
  EXPECT_EQ(report::thin_points(x, y, report::Scale::kLog, report::Scale::kLinear, 100),
            (std::vector<std::size_t>{3, 5}));
}

TEST(Thin, PointsWithoutALineAreTakenEvenly) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<double> x(10000), y(10000);
  for (auto* values : {&x, &y}) std::ranges::generate(*values, [&] { return normal(random); });
  EXPECT_LE(report::thin_points(x, y, report::Scale::kLinear, report::Scale::kLinear, 500).size(), 500u);
}

}  // namespace
}  // namespace polariscope::report
