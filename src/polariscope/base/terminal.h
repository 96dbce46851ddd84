// Text for a person at a terminal: colours where wanted, aligned tables, sparklines.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

bool is_terminal(std::FILE* stream);
// True on a terminal unless NO_COLOR is set or TERM is "dumb".
bool wants_colour(std::FILE* stream);

enum class Colour { kRed, kGreen, kYellow, kDim, kBold };
// `text` in ANSI colour if `on`, else unchanged.
std::string coloured(std::string_view text, Colour colour, bool on);

// Columns aligned by display width (UTF-8 counted by code point), two spaces apart; the last column
// wraps so that no line exceeds `width`. The first row is the heading.
std::string aligned_table(const std::vector<std::vector<std::string>>& rows, int width = 100);

// One of " ▁▂▃▄▅▆▇█" per value, resampled to `width`, scaled to [low, high]; NaN is "·".
std::string sparkline(std::span<const double> values, double low, double high, int width);

// A number with `digits` significant digits, as a person writes it: 0.975, 1.2e-05, 300000.
std::string significant(double value, int digits = 4);

}  // namespace polariscope
