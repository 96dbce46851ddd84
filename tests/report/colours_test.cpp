#include "polariscope/report/colours.h"

#include "support/complaint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace polariscope {
namespace {

const std::vector<std::string> kNames = {"red",  "blue",   "indigo", "cyan",  "green", "orange",
                                         "pink", "violet", "brown",  "taupe", "grey",  "slate"};

// Relative luminance and contrast as WCAG 2 defines them.
double luminance(const std::string& colour) {
  const auto channel = [&](int at) {
    const double encoded = std::stoi(colour.substr(static_cast<std::size_t>(at), 2), nullptr, 16) / 255.0;
    return encoded <= 0.04045 ? encoded / 12.92 : std::pow((encoded + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

double contrast(const std::string& a, const std::string& b) {
  const auto [low, high] = std::minmax({luminance(a), luminance(b)});
  return (high + 0.05) / (low + 0.05);
}

// WCAG asks 3 of graphics. One set for both papers has at most sqrt(21) = 4.6 on each.
void expect_visible_on_both_papers(const std::string& colour) {
  EXPECT_GE(contrast(colour, "#ffffff"), 3.0) << colour << " on white";
  EXPECT_GE(contrast(colour, "#15181c"), 3.0) << colour << " on black";
}

TEST(Colours, EveryNamedOneShowsOnBothPapersAndIsNoOther) {
  std::set<std::string> colours;
  for (const std::string& name : kNames) {
    expect_visible_on_both_papers(report::named_colour(name));
    colours.insert(report::named_colour(name));
  }
  EXPECT_EQ(colours.size(), kNames.size());
}

TEST(Colours, AnUnknownNameIsRefusedWithTheNearestOne) {
  const std::string complaint = testing::complaint_of([] { report::named_colour("gray"); });
  EXPECT_NE(complaint.find("did you mean \"grey\"?"), std::string::npos) << complaint;
}

TEST(Colours, TheSequentialScaleShowsOnBothPapersAndGetsLighter) {
  EXPECT_TRUE(report::sequential_colours(0).empty());
  EXPECT_EQ(report::sequential_colours(1).size(), 1u);
  const auto colours = report::sequential_colours(20);
  for (const std::string& colour : colours) expect_visible_on_both_papers(colour);
  EXPECT_LT(luminance(colours.front()), luminance(colours.back()));
  EXPECT_EQ(std::set<std::string>(colours.begin(), colours.end()).size(), colours.size());
}

TEST(Colours, ThePaletteShowsOnBothPapersAndRepeats) {
  for (std::size_t i = 0; i < 8; ++i) expect_visible_on_both_papers(report::palette_colour(i));
  EXPECT_EQ(report::palette_colour(8), report::palette_colour(0));
}

}  // namespace
}  // namespace polariscope
