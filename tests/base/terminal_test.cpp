#include "polariscope/base/terminal.h"

#include "support/captured_stderr.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <sstream>

namespace polariscope {
namespace {

using testing::CapturedStderr;

TEST(DisplayWidth, CountsCodePointsAndNoColours) {
  EXPECT_EQ(display_width(""), 0);
  EXPECT_EQ(display_width("σ(a) → ✓"), 8);
  EXPECT_EQ(display_width(coloured("✓", Colour::kGreen, true)), 1);
}

TEST(Coloured, LeavesTextUnchangedWhenOff) {
  EXPECT_EQ(coloured("holds", Colour::kGreen, false), "holds");
  EXPECT_EQ(coloured("holds", Colour::kGreen, true), "\x1b[32mholds\x1b[0m");
}

TEST(WantsColour, IsTrueOnlyOnATerminalWithoutNoColor) {
  if (!CapturedStderr::has_terminal()) GTEST_SKIP() << "this system gives no pseudo-terminal";
  unsetenv("NO_COLOR");
  setenv("TERM", "xterm", 1);
  {
    const CapturedStderr file(CapturedStderr::To::kFile);
    EXPECT_FALSE(wants_colour(stderr));
  }
  const CapturedStderr terminal(CapturedStderr::To::kTerminal);
  EXPECT_TRUE(wants_colour(stderr));
  setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(wants_colour(stderr));
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(wants_colour(stderr));
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(wants_colour(stderr));
}

TEST(AlignedTable, AlignsColumnsByWhatIsSeen) {
  EXPECT_EQ(
      aligned_table(
          {{"id", "verdict", "figure"}, {"σ", coloured("✓", Colour::kGreen, true), "0.975"}, {"entropy", "✗", "0.1"}}),
      "id       verdict  figure\n"
      "σ        \x1b[32m✓\x1b[0m        0.975\n"
      "entropy  ✗        0.1\n");
}

TEST(AlignedTable, WrapsTheLastColumnUnderItself) {
  EXPECT_EQ(aligned_table({{"id", "statement"}, {"A", "the entropy of every head falls"}}, 24),
            "id  statement\n"
            "A   the entropy of every\n"
            "    head falls\n");
}

TEST(AlignedTable, BreaksWordsThatAreLongerThanTheColumn) {
  EXPECT_EQ(aligned_table({{"σσσσσσσσσσσσσσσσσσσσσσσσσ yes"}}, 20), "σσσσσσσσσσσσσσσσσσσσ\nσσσσσ yes\n");
}

TEST(AlignedTable, KeepsEveryLineWithinTheWidth) {
  const std::string table =
      aligned_table({{"a", "b", "c"}, {"one", "two", std::string(300, 'x') + " and words after"}}, 60);
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 60) << line;
}

TEST(AlignedTable, WrapsWideColumnsAndHeadingsWhereverTheyStand) {
  EXPECT_EQ(aligned_table({{"applies to", "sums to one", "statement"},
                           {"every head of every layer", "no", "the entropy of every head falls"}},
                          36),
            "applies to      sums  statement\n"
            "                to\n"
            "                one\n"
            "every head of   no    the entropy of\n"
            "every layer           every head\n"
            "                      falls\n");
}

TEST(AlignedTable, KeepsWithinTheWidthWhateverColumnIsLong) {
  for (int wide = 0; wide < 3; ++wide) {
    std::vector<std::string> row{"one", "two", "three"};
    row[wide] = std::string(50, 'x') + " and " + std::string(200, 'y');
    std::istringstream lines(aligned_table({{"a", "b", "c"}, row}, 40));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 40) << line;
  }
}

TEST(AlignedTable, AcceptsShortRowsAndNoRows) {
  EXPECT_EQ(aligned_table({{"a", "b", "c"}, {"1"}, {"1", "2"}}), "a  b  c\n1\n1  2\n");
  EXPECT_EQ(aligned_table({}), "");
}

TEST(Sparkline, ShowsOneMarkPerValueFromLowToHigh) {
  const std::vector<double> values = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(sparkline(values, 0, 8, 9), " ▁▂▃▄▅▆▇█");
}

TEST(Sparkline, ClampsAndMarksWhatIsNotANumber) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {-5.0, kNan, 2.0, kInfinity, -kInfinity};
  EXPECT_EQ(sparkline(values, 0, 1, 5), " ·██ ");
}

TEST(Sparkline, TakesTheMeanOfEachShareAndStretchesFewValues) {
  const std::vector<double> many = {0, 0, 1, 1, 0.5, 0.5};
  EXPECT_EQ(sparkline(many, 0, 1, 3), " █▄");
  const std::vector<double> few = {0, 1};
  EXPECT_EQ(sparkline(few, 0, 1, 6), "   ███");
}

TEST(Sparkline, IsFlatWithoutARangeAndEmptyWithoutValues) {
  const std::vector<double> flat = {3, 3};
  EXPECT_EQ(sparkline(flat, 3, 3, 2), "▄▄");
  EXPECT_EQ(sparkline({}, 0, 1, 5), "");
}

TEST(Significant, WritesNumbersAsAPersonDoes) {
  EXPECT_EQ(significant(0.975), "0.975");
  EXPECT_EQ(significant(1.2e-5), "1.2e-05");
  EXPECT_EQ(significant(300000), "300000");
  EXPECT_EQ(significant(-1234567.8), "-1234568");
  EXPECT_EQ(significant(1e299), "1e+299");
  EXPECT_EQ(significant(3.14159265, 3), "3.14");
  EXPECT_EQ(significant(0.0), "0");
  EXPECT_EQ(significant(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(significant(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(Printable, WritesControlCharactersOut) {
  EXPECT_EQ(printable("a\x1b[31mé\n"), "a\\x1B[31mé\\x0A");
  EXPECT_EQ(printable("plain name"), "plain name");
}

TEST(ShellQuoted, IsOneWordOfAShell) {
  EXPECT_EQ(shell_quoted("run/step-20.gguf"), "run/step-20.gguf");
  EXPECT_EQ(shell_quoted("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(shell_quoted(""), "''");
}

TEST(Duration, GrowsFromSecondsToHours) {
  EXPECT_EQ(duration(4.24), "4.2 s");
  EXPECT_EQ(duration(59.97), "1 min 00 s");
  EXPECT_EQ(duration(185), "3 min 05 s");
  EXPECT_EQ(duration(7800), "2 h 10 min");
  EXPECT_EQ(long_duration(7800), "2 h 10 min");
  EXPECT_EQ(long_duration(260'000), "3 days");
  EXPECT_EQ(long_duration(1e8), "3.2 years");
}

}  // namespace
}  // namespace polariscope
