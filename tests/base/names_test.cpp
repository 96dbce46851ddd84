#include "polariscope/base/names.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace polariscope {
namespace {

constexpr std::array<std::string_view, 4> kKnown = {"softmax", "sigmoid", "relu", "relu/sum"};

TEST(NearestName, FindsTheKnownNameWithFewestEdits) {
  EXPECT_EQ(nearest_name("sofmax", kKnown), "softmax");
  EXPECT_EQ(nearest_name("sigmiod", kKnown), "sigmoid");
  EXPECT_EQ(nearest_name("relusum", kKnown), "relu/sum");
}

TEST(NearestName, IgnoresCase) { EXPECT_EQ(nearest_name("SoftMax", kKnown), "softmax"); }

TEST(NearestName, TakesTheFirstOfEquallyNearNames) {
  constexpr std::array<std::string_view, 2> kTwins = {"fig2", "fig3"};
  EXPECT_EQ(nearest_name("fig4", kTwins), "fig2");
}

TEST(NearestName, GivesNothingWhereNoNameIsNear) {
  EXPECT_EQ(nearest_name("entropy", kKnown), "");
  EXPECT_EQ(nearest_name("", kKnown), "");
  EXPECT_EQ(nearest_name("softmax", {}), "");
}

TEST(UnknownName, SaysWhatWasFoundWhatIsNearAndWhatIsKnown) {
  EXPECT_EQ(unknown_name("re-weighting", "sofmax", kKnown),
            "unknown re-weighting \"sofmax\": did you mean \"softmax\"? (known: softmax, sigmoid, relu, relu/sum)");
  EXPECT_EQ(unknown_name("re-weighting", "entropy", kKnown),
            "unknown re-weighting \"entropy\" (known: softmax, sigmoid, relu, relu/sum)");
}

TEST(UnknownName, NamesOnlyTheNearestOfALongList) {
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("experiment-" + std::to_string(100 + i));
  const std::vector<std::string_view> many(names.begin(), names.end());
  EXPECT_EQ(unknown_name("experiment", "experiment-12", many),
            "unknown experiment \"experiment-12\": did you mean \"experiment-102\"? (nearest of 30 known: "
            "experiment-102, experiment-112, experiment-120, experiment-121, experiment-122)");
}

}  // namespace
}  // namespace polariscope
