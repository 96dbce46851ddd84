#include "polariscope/experiments/shared/straight_line.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace polariscope::testing {
namespace {

const double kNan = std::nan("");

TEST(StraightLine, IsFoundThroughPointsOnOneWhateverIsNotFiniteBetween) {
  const std::vector<double> x{0.0, 1.0, kNan, 3.0, 4.0}, y{5.0, 3.0, 7.0, -1.0, kNan};
  const experiments::StraightLine line = experiments::straight_line(x, y);
  EXPECT_DOUBLE_EQ(line.slope, -2.0);
  EXPECT_DOUBLE_EQ(line.intercept, 5.0);
  EXPECT_DOUBLE_EQ(line.correlation, -1.0);
}

TEST(StraightLine, HasTheCorrelationOfItsDefinition) {
  const std::vector<double> x{1.0, 2.0, 3.0}, y{1.0, 3.0, 2.0};
  EXPECT_DOUBLE_EQ(experiments::straight_line(x, y).correlation, 0.5);
}

TEST(StraightLine, IsNoneWhereThePointsDetermineNone) {
  const std::vector<double> one{2.0}, level{1.0, 1.0}, rising{1.0, 2.0};
  EXPECT_TRUE(std::isnan(experiments::straight_line(one, one).slope));
  EXPECT_TRUE(std::isnan(experiments::straight_line(level, rising).slope));
  EXPECT_TRUE(std::isnan(experiments::straight_line(rising, level).correlation));
  EXPECT_TRUE(std::isnan(experiments::straight_line({}, {}).slope));
}

}  // namespace
}  // namespace polariscope::testing
