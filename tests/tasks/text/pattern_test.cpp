// Expressions written for Oniguruma, run by PCRE2. What they match is held against the library in the golden
// tokenizers.
#include "polariscope/tasks/text/internal/pattern.h"

#include "polariscope/base/random.h"
#include "polariscope/tasks/text/internal/gpt2_cuts.h"
#include "polariscope/tasks/text/internal/utf8.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <vector>

namespace polariscope::tasks::text {
namespace {

using polariscope::testing::complaint_of;

std::vector<std::string> matches(const std::string& expression, const std::string& text) {
  const SplitPattern pattern(expression, "test");
  MatchState state;
  std::vector<std::string> found;
  Span match{};
  for (std::size_t at = 0; at <= text.size() && pattern.find(text, at, state, match);) {
    found.push_back(text.substr(match.begin, match.end - match.begin));
    at = match.end > match.begin ? match.end : match.end + 1;
  }
  return found;
}

using Texts = std::vector<std::string>;

TEST(Patterns, SpacesAreTheWhiteSpaceOfUnicode) {
  EXPECT_EQ(matches(R"(\s+)", "a \u00a0b\u180ec\u3000"), (Texts{" \u00a0", "\u3000"}));
  EXPECT_EQ(matches(R"([^\s]+)", "a b\u180ec"), (Texts{"a", "b\u180ec"}));
  EXPECT_EQ(matches(R"([^\S\n]+)", "a \nb"), (Texts{" "}));
}

TEST(Patterns, WordsHoldMarksAndConnectors) { EXPECT_EQ(matches(R"(\w+)", "e\u0301‿x ①"), (Texts{"e\u0301‿x"})); }

TEST(Patterns, AnIntervalWithPlusIsNotPossessive) {
  EXPECT_EQ(matches(R"(a{2}+)", "aaaaa"), (Texts{"aaaa"}));
  EXPECT_EQ(matches(R"(a{,2}b)", "aaab"), (Texts{"aab"}));
  EXPECT_EQ(matches(R"(a++a|a)", "aaa"), (Texts{"a", "a", "a"}));
}

TEST(Patterns, ClassesInClassesAreTheirUnion) {
  EXPECT_EQ(matches(R"([^(\s|[.,])]+)", "a.b(c)"), (Texts{"a", "b", "c"}));
}

TEST(Patterns, LinesEndAtLineFeeds) { EXPECT_EQ(matches(R"(\s+$)", "a \nb  "), (Texts{" ", "  "})); }

TEST(Patterns, WhatTheLibrariesReadDifferentlyIsNamed) {
  EXPECT_EQ(complaint_of([] { SplitPattern(R"((a)\1)", "f: x"); }),
            "f: x: \"(a)\\\\1\" uses \\1, which is not read here");
  for (const char* expression :
       {R"(\h)", R"(\K)", "[a&&b]", "[[:alpha:]]", "(?<n>a)", "(?m:a)", "[a[^b]]", "(?#c)", R"(\x)", "[a"}) {
    EXPECT_NE(complaint_of([&] { SplitPattern(expression, "f"); }).find("which is not read here"), std::string::npos)
        << expression;
  }
  EXPECT_NE(complaint_of([] { SplitPattern("(a", "f"); }).find("\"(a\" is not understood: "), std::string::npos);
  EXPECT_NE(complaint_of([] { SplitPattern(R"(\p{Nonsense})", "f"); }).find("is not understood"), std::string::npos);
}

TEST(Patterns, AnExpressionThatNeverEndsIsGivenUp) {
  const SplitPattern pattern("(a+)+$", "f");
  MatchState state;
  Span match{};
  const std::string text = std::string(60, 'a') + "b";
  EXPECT_NE(complaint_of([&] { pattern.find(text, 0, state, match); }).find("takes too many steps"), std::string::npos);
}

class Collected : public PieceTaker {
 public:
  void take(Piece piece) override { pieces.emplace_back(piece.text); }
  Texts pieces;
};

Texts pieces_of(const PreTokenizer& cuts, const std::string& text) {
  MatchState state;
  Collected collected;
  if (!text.empty()) cuts.split({text, true}, state, collected);
  return collected.pieces;
}

TEST(Gpt2Cuts, AreTheMatchesOfItsExpression) {
  const PatternPreTokenizer by_pattern(SplitPattern(kGpt2Pattern, "test"), Delimiter::kIsolated, false);
  const Gpt2PreTokenizer by_hand;
  // Of blocks that Unicode has not added to since version 13: the libraries' tables are of different years.
  const std::vector<std::pair<char32_t, char32_t>> blocks{
      {0x20, 0x7F},     {0x20, 0x7F},     {0x61, 0x7B},     {0x20, 0x28},      {0x30, 0x3A},     {0x09, 0x21},
      {0x00, 0x250},    {0x300, 0x530},   {0x5D0, 0x5EB},   {0x904, 0x93A},    {0x2000, 0x2070}, {0x2150, 0x2190},
      {0x3000, 0x3100}, {0x4E00, 0x4F00}, {0xAC00, 0xAD00}, {0x1F600, 0x1F640}};
  constexpr std::uint64_t kSeed = 2;
  RandomStream random(kSeed, 0);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t parts = random.below(12); parts > 0; --parts) {
      const auto [low, high] = blocks[random.below(blocks.size())];
      const auto one = static_cast<char32_t>(low + random.below(high - low));
      const std::uint64_t times = random.below(3) + 1;
      for (std::uint64_t i = 0; i < times; ++i) append_utf8(text, random.below(2) == 0 ? one : U' ');
      if (random.below(4) == 0)
        text += std::vector<std::string>{"'s", "'ll", "'re", "'", "\r\n", " '", "'d ", "'ve"}[random.below(8)];
    }
    ASSERT_EQ(pieces_of(by_hand, text), pieces_of(by_pattern, text)) << "seed " << kSeed << ", round " << round;
  }
}

}  // namespace
}  // namespace polariscope::tasks::text
