#include "polariscope/base/names.h"

#include <gtest/gtest.h>

#include <array>

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

}  // namespace
}  // namespace polariscope
