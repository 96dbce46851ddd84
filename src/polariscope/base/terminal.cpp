// Text for a person at a terminal.
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string>

namespace polariscope {

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

bool wants_colour(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool refused = no_color != nullptr && *no_color != '\0';
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  return is_terminal(stream) && !refused && !dumb;
}

std::string coloured(std::string_view text, Colour colour, bool on) {
  if (!on) return std::string(text);
  const auto code = [colour] {
    switch (colour) {
      case Colour::kRed: return 31;
      case Colour::kGreen: return 32;
      case Colour::kYellow: return 33;
      case Colour::kDim: return 2;
      case Colour::kBold: return 1;
    }
    return 0;
  }();
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

namespace {

// Length in bytes of the character or ANSI colour sequence that `text` begins with.
std::size_t leading_bytes(std::string_view text) {
  if (text.starts_with("\x1b[")) return std::min(text.find('m'), text.size() - 1) + 1;
  std::size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
  return bytes;
}

// Splits `text` into lines of at most `width` columns, between words where a word fits.
std::vector<std::string> wrapped(std::string_view text, int width) {
  std::vector<std::string> lines(1);
  const auto room = [&] { return width - display_width(lines.back()); };
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const int gap = lines.back().empty() ? 0 : 1;
    if (gap == 1 && display_width(word) + gap > room()) {
      lines.emplace_back();
    } else if (gap == 1) {
      lines.back() += ' ';
    }
    while (!word.empty()) {
      const std::size_t bytes = leading_bytes(word);
      if (room() == 0 && display_width(word.substr(0, bytes)) > 0) lines.emplace_back();
      lines.back() += word.substr(0, bytes);
      word.remove_prefix(bytes);
    }
  }
  return lines;
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    if (!text.starts_with("\x1b[")) ++width;
    text.remove_prefix(leading_bytes(text));
  }
  return width;
}

std::string aligned_table(const std::vector<std::vector<std::string>>& rows, int width) {
  constexpr int kGap = 2;
  constexpr int kLeastLastColumn = 20;  // narrower columns of prose cannot be read
  std::size_t columns = 0;
  for (const auto& row : rows) columns = std::max(columns, row.size());
  if (columns == 0) return "";
  std::vector<int> widths(columns - 1, 0);
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < std::min(row.size(), widths.size()); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c]));
    }
  }
  int indent = 0;
  for (const int column : widths) indent += column + kGap;

  std::string text;
  const auto end_line = [&text] {
    while (text.ends_with(' ')) text.pop_back();
    text += '\n';
  };
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < widths.size(); ++c) {
      const std::string_view cell = c < row.size() ? std::string_view(row[c]) : std::string_view();
      text += cell;
      text.append(static_cast<std::size_t>(widths[c] - display_width(cell) + kGap), ' ');
    }
    const std::string_view last = row.size() == columns ? std::string_view(row.back()) : std::string_view();
    bool first = true;
    for (const std::string& line : wrapped(last, std::max(width - indent, kLeastLastColumn))) {
      if (!first) text.append(static_cast<std::size_t>(indent), ' ');
      first = false;
      text += line;
      end_line();
    }
  }
  return text;
}

std::string sparkline(std::span<const double> values, double low, double high, int width) {
  static constexpr std::array<std::string_view, 9> kMarks = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  if (values.empty() || width <= 0) return text;
  const auto columns = static_cast<std::size_t>(width);
  for (std::size_t column = 0; column < columns; ++column) {
    const std::size_t begin = column * values.size() / columns;
    const std::size_t end = std::max(begin + 1, (column + 1) * values.size() / columns);
    double sum = 0.0;
    int counted = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (std::isnan(values[i])) continue;
      // Clamped first: one infinity must not hide the rest of its share, nor +inf and -inf make a NaN.
      sum += high > low ? std::clamp((values[i] - low) / (high - low), 0.0, 1.0) : 0.5;
      ++counted;
    }
    text += counted == 0 ? std::string_view("·") : kMarks[static_cast<std::size_t>(std::lround(sum / counted * 8.0))];
  }
  return text;
}

std::string significant(double value, int digits) {
  const double size = std::abs(value);
  if (size >= std::pow(10.0, digits) && size < 1e7) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}g}", value, digits);
}

}  // namespace polariscope
