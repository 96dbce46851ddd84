#include "polariscope/tasks/split.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace polariscope {
namespace {

TEST(ExampleStream, SharesNoStreamBetweenSplitsIndicesAndTheLowOnes) {
  constexpr auto kLast = (std::int64_t{1} << 62) - 1;
  std::set<std::uint32_t> first_words{RandomStream(7, 0).bits(), RandomStream(7, 1).bits(),
                                      RandomStream(7, kLast).bits()};
  for (const tasks::Split split : {tasks::Split::kTraining, tasks::Split::kEvaluation}) {
    for (const std::int64_t index : {std::int64_t{0}, std::int64_t{1}, kLast}) {
      first_words.insert(tasks::example_stream(7, split, index).bits());
    }
  }
  EXPECT_EQ(first_words.size(), 9U);
}

TEST(ExampleStream, DependsOnTheSeed) {
  EXPECT_NE(tasks::example_stream(1, tasks::Split::kTraining, 0).bits(),
            tasks::example_stream(2, tasks::Split::kTraining, 0).bits());
}

}  // namespace
}  // namespace polariscope
