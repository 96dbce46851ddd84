#include "polariscope/sweep/shard.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace polariscope {
namespace {

std::vector<int> sorted(std::vector<int> runs) {
  std::ranges::sort(runs);
  return runs;
}

TEST(Shard, TheUnionOfAllIsTheWholeAndNoneOverlap) {
  for (const int runs : {1, 7, 60, 8640}) {
    std::vector<int> whole(static_cast<std::size_t>(runs));
    std::iota(whole.begin(), whole.end(), 1);
    for (const int count : {1, 2, 5, 8, 100}) {
      std::vector<int> all;
      for (int index = 1; index <= count; ++index) {
        const std::vector<int> part = sweep::runs_of_shard(runs, {index, count});
        EXPECT_LE(static_cast<int>(part.size()), runs / count + 1);
        EXPECT_GE(static_cast<int>(part.size()), runs / count);
        all.insert(all.end(), part.begin(), part.end());
      }
      EXPECT_EQ(sorted(all), whole) << runs << " runs in " << count << " shards";
    }
  }
}

TEST(Shard, TheOrderIsFixedAndSpreadOverTheGrid) {
  const std::vector<int> order = sweep::runs_of_shard(8640, {1, 1});
  EXPECT_EQ(order, sweep::runs_of_shard(8640, {1, 1}));
  // The first tenth of the turns: 72 runs of each of twelve equal parts, give or take four deviations of about 8.
  std::vector<int> parts(12, 0);
  for (int i = 0; i < 864; ++i) ++parts[static_cast<std::size_t>((order[static_cast<std::size_t>(i)] - 1) / 720)];
  for (const int part : parts) EXPECT_NEAR(part, 72, 32);
}

TEST(Shard, IsReadAsIOfN) {
  EXPECT_EQ(sweep::parse_shard("3/8").index, 3);
  EXPECT_EQ(sweep::parse_shard("3/8").count, 8);
  for (const char* text :
       {"", "3", "3/", "/8", "0/8", "9/8", "-1/8", "3/8x", "3/8/2", "a/b", "3 /8", "1/99999999999"}) {
    EXPECT_THROW(sweep::parse_shard(text), Error) << text;
  }
}

}  // namespace
}  // namespace polariscope
