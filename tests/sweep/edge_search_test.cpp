#include "polariscope/sweep/edge_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

namespace polariscope::sweep {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

EdgeSearch searched(double first, double within, const std::function<bool(double)>& collapses) {
  EdgeSearch search(first, within);
  std::set<double> tried;
  int done = 0;
  while (const auto rate = search.next()) {
    EXPECT_TRUE(tried.insert(*rate).second) << *rate << " is tried again";
    search.tell(collapses(*rate));
    EXPECT_GE(search.done(), done);  // what is done only grows
    done = search.done();
    if (tried.size() > 100) break;
  }
  EXPECT_EQ(search.done(), search.planned());
  EXPECT_EQ(search.runs(), static_cast<int>(tried.size()));
  return search;
}

TEST(EdgeSearch, FindsAPlantedEdgeWithinTheFactorAskedFor) {
  for (const double within : {1.01, 1.1, 1.5, 2.0, 4.0}) {
    for (double edge = 3e-4; edge < 2e3; edge *= 1.37) {
      const EdgeSearch search = searched(0.7, within, [&](double rate) { return rate > edge; });
      EXPECT_LE(search.held(), edge);
      EXPECT_GT(search.collapsed(), edge);
      EXPECT_LE(search.collapsed(), within * search.held()) << "within " << within << ", edge " << edge;
    }
  }
}

TEST(EdgeSearch, TakesTwoRunsAndAHalvingForEachSquareRootOfFour) {
  const auto above_one = [](double rate) { return rate > 1.0; };
  EXPECT_EQ(searched(0.7, 4.0, above_one).runs(), 2);
  EXPECT_EQ(searched(0.7, 2.0, above_one).runs(), 3);
  EXPECT_EQ(searched(0.7, 1.5, above_one).runs(), 4);  // 4, 2, 1.41
  EXPECT_EQ(EdgeSearch(0.7, 1.5).planned(), 4);
}

TEST(EdgeSearch, EndsBelowWhereEverythingCollapses) {
  const EdgeSearch search = searched(1.0, 1.5, [](double) { return true; });
  EXPECT_EQ(search.held(), 0.0);
  EXPECT_NEAR(search.collapsed(), std::pow(4.0, -6), 1e-7);  // of four digits
  EXPECT_EQ(search.runs(), 7);
}

TEST(EdgeSearch, EndsAboveWhereNothingDoes) {
  const EdgeSearch search = searched(1.0, 1.5, [](double) { return false; });
  EXPECT_EQ(search.held(), 4096.0);
  EXPECT_EQ(search.collapsed(), kInfinity);
  EXPECT_EQ(search.runs(), 7);
}

TEST(EdgeSearch, FindsAnEdgeFourThousandTimesAwayInBothDirections) {
  EXPECT_LE(searched(1.0, 1.5, [](double rate) { return rate > 3000.0; }).collapsed(), 4096.0);
  EXPECT_GT(searched(1.0, 1.5, [](double rate) { return rate > 3e-4; }).held(), 2.4e-4);
}

TEST(EdgeSearch, WhereACollapseIsNotMonotoneKeepsARateThatHeldBelowOneThatDidNot) {
  // Holds again above 0.9, where it does not look.
  const auto islands = [](double rate) { return rate > 0.2 && rate < 0.9; };
  const EdgeSearch search = searched(0.1, 1.2, islands);
  EXPECT_FALSE(islands(search.held()));
  EXPECT_TRUE(islands(search.collapsed()));
  EXPECT_LE(search.held(), 0.2);
}

TEST(EdgeSearch, TriesRatesOfFourDigits) {
  EdgeSearch search(0.7123456, 1.01);
  EXPECT_EQ(search.next(), 0.7123);
  search.tell(false);
  EXPECT_EQ(search.next(), 2.849);
  search.tell(true);
  EXPECT_EQ(search.next(), 1.425);
}

}  // namespace
}  // namespace polariscope::sweep
