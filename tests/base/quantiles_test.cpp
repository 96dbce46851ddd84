#include "polariscope/base/quantiles.h"

#include "polariscope/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace polariscope {
namespace {

using Numbers = std::vector<double>;

TEST(Median, OfAnOddCountIsTheMiddleOne) {
  Numbers values{9, 1, 4};
  EXPECT_EQ(median_of(values), 4.0);
  EXPECT_EQ(median_of_sorted(Numbers{1, 4, 9}), 4.0);
}

TEST(Median, OfAnEvenCountIsTheMeanOfTheMiddleTwo) {
  Numbers values{9, 1, 4, 5};
  EXPECT_EQ(median_of(values), 4.5);
  EXPECT_EQ(median_of_sorted(Numbers{1, 4, 5, 9}), 4.5);
}

TEST(Median, OfNoneIsNaN) {
  EXPECT_TRUE(std::isnan(median_of({})));
  EXPECT_TRUE(std::isnan(median_of_sorted({})));
}

TEST(Median, HasTheSameBitsSortedOrNot) {
  RandomStream random(7, 0);
  for (std::size_t count = 1; count < 70; ++count) {
    Numbers values(count);
    for (double& x : values) x = random.normal();
    Numbers sorted = values;
    std::ranges::sort(sorted);
    EXPECT_EQ(median_of(values), median_of_sorted(sorted)) << count;
    EXPECT_NEAR(median_of_sorted(sorted), quantile_of_sorted(sorted, 0.5), 1e-15) << count;
  }
}

TEST(Quantile, GoesStraightFromTheSmallestToTheLargest) {
  const Numbers rising{1, 3, 7};
  EXPECT_EQ(quantile_of_sorted(rising, 0.0), 1.0);
  EXPECT_EQ(quantile_of_sorted(rising, 0.25), 2.0);
  EXPECT_EQ(quantile_of_sorted(rising, 0.5), 3.0);
  EXPECT_EQ(quantile_of_sorted(rising, 0.75), 5.0);
  EXPECT_EQ(quantile_of_sorted(rising, 1.0), 7.0);
  EXPECT_EQ(quantile_of_sorted(Numbers{5}, 0.3), 5.0);
}

}  // namespace
}  // namespace polariscope
