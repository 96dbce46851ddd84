// Text for a person at a terminal: colours where wanted, aligned tables, sparklines.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

bool is_terminal(std::FILE* stream);
// True on a terminal that can erase what it shows: of a "dumb" TERM it is said that it cannot.
bool moves_cursor(std::FILE* stream);
// True on a terminal unless NO_COLOR is set (and not empty) or TERM is "dumb".
bool wants_colour(std::FILE* stream);

enum class Colour { kRed, kGreen, kYellow, kDim, kBold };
// `text` in ANSI colour if `on`, else unchanged.
std::string coloured(std::string_view text, Colour colour, bool on);

// Writes to standard error, at once. Where that is full or gone nobody hears, which is no reason to end.
void tell(std::string_view text);

// For one line of a terminal: control characters of a name somebody gave are written out, "\\x1B".
std::string printable(std::string_view text);
// For a shell to read as one word: in quotes where it needs them.
std::string shell_quoted(std::string_view text);

// Columns that `text` takes on a terminal: UTF-8 counted by code point, ANSI colours by nothing.
int display_width(std::string_view text);

// Columns aligned by display width, two spaces apart. Cells wrap between words so that no line exceeds
// `width`: first headings wider than what is below them, then the widest columns. The first row is the
// heading; a row may be shorter than it. Every line ends in a newline and in no spaces.
std::string aligned_table(const std::vector<std::vector<std::string>>& rows, int width = 100);

// `width` marks of " ▁▂▃▄▅▆▇█", each the mean of its share of `values` (the nearest one where there are
// fewer), scaled to [low, high] and clamped; NaN is "·". Values without a range (low = high) are "▄".
std::string sparkline(std::span<const double> values, double low, double high, int width);

// A number with `digits` significant digits, as a person writes it: 0.975, 1.2e-05, 300000. Numbers
// below 1e7 keep all digits before the point.
std::string significant(double value, int digits = 4);

// 4.2 s, 3 min 05 s, 2 h 10 min.
std::string duration(double seconds);
// The same, from two days on in days, from two years on in years.
std::string long_duration(double seconds);

}  // namespace polariscope
