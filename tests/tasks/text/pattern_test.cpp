// Expressions written for Oniguruma, run by PCRE2. What they match is held against the library in the golden
// tokenizers.
#include "polariscope/tasks/text/internal/pattern.h"

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
  EXPECT_EQ(matches(R"([^(\s|[.,]])+)", "a.b(c)"), (Texts{"a", "b", "c)"}));
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

}  // namespace
}  // namespace polariscope::tasks::text
