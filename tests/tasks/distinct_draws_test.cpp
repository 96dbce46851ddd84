#include "polariscope/tasks/internal/distinct_draws.h"

#include "examples.h"

#include <algorithm>
#include <map>

namespace polariscope::testing {
namespace {

// Quantiles of chi squared at 0.9999; the seeds are fixed, so a pass is a pass for ever.
constexpr double kQuantile6 = 27.9, kQuantile11 = 37.4, kQuantile23 = 56.3;

TEST(DrawBelow, IsEvenOverItsRange) {
  RandomStream random(21, 0);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(tasks::draw_below(random, 7));
  EXPECT_LT(chi_squared(counts), kQuantile6);
  EXPECT_EQ(tasks::draw_below(random, 1), 0U);
}

TEST(DrawBelow, IsUnbiasedWhereTheRangeDoesNotDivideTheWord) {
  // Without refusals every third number of a range of 3·2^30 would be drawn twice as often as the others.
  RandomStream random(22, 0);
  std::vector<int> counts(3);
  for (int i = 0; i < 30'000; ++i) ++counts.at(tasks::draw_below(random, std::uint32_t{3} << 30) % 3);
  EXPECT_LT(chi_squared(counts), 18.4);  // 2 degrees of freedom
}

TEST(DistinctDraws, GivesEveryOrderedChoiceEquallyOften) {
  RandomStream random(23, 0);
  tasks::DistinctDraws distinct(4);
  std::map<std::vector<int>, int> seen;
  for (int i = 0; i < 24'000; ++i) {
    std::vector<int> pair(2);
    distinct.draw(random, std::span(pair), 0);
    ++seen[pair];
  }
  std::vector<int> counts;
  for (const auto& [pair, count] : seen) {
    EXPECT_NE(pair[0], pair[1]);
    counts.push_back(count);
  }
  EXPECT_EQ(counts.size(), 12U);  // 4·3
  EXPECT_LT(chi_squared(counts), kQuantile11);
}

TEST(DistinctDraws, OfAllNumbersIsAPermutationAndEveryOneIsEquallyLikely) {
  RandomStream random(24, 0);
  tasks::DistinctDraws distinct(4);
  std::map<std::vector<int>, int> seen;
  for (int i = 0; i < 24'000; ++i) {
    std::vector<int> all(4);
    distinct.draw(random, std::span(all), 10);
    EXPECT_TRUE(std::is_permutation(all.begin(), all.end(), std::vector{10, 11, 12, 13}.begin()));
    ++seen[all];
  }
  std::vector<int> counts;
  for (const auto& [order, count] : seen) counts.push_back(count);
  EXPECT_EQ(counts.size(), 24U);  // 4!
  EXPECT_LT(chi_squared(counts), kQuantile23);
}

TEST(DistinctDraws, DoNotDependOnEarlierCalls) {
  tasks::DistinctDraws fresh(50), used(50);
  std::vector<int> first(10), again(10);
  RandomStream other(25, 1), random(25, 2), same(25, 2);
  used.draw(other, std::span(again), 0);
  fresh.draw(random, std::span(first), 0);
  used.draw(same, std::span(again), 0);
  EXPECT_EQ(first, again);
}

}  // namespace
}  // namespace polariscope::testing
