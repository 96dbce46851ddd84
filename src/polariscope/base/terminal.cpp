// Text for a person at a terminal.
#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <numeric>
#include <string>

namespace polariscope {
namespace {

constexpr int kGap = 2;
constexpr int kLongWord = 30;  // words up to here are not broken for the sake of the table's width

// Length in bytes of the character or ANSI colour sequence that `text` begins with.
std::size_t leading_bytes(std::string_view text) {
  if (text.starts_with("\x1b[")) return std::min(text.find('m'), text.size() - 1) + 1;
  std::size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
  return bytes;
}

// Splits `text` into lines of at most `width` columns, between words where a word fits.
std::vector<std::string> wrapped(std::string_view text, int width) {
  if (display_width(text) <= width) return {std::string(text)};  // with the spaces of a sparkline
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

int longest_word(std::string_view text) {
  int longest = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    longest = std::max(longest, display_width(word));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return longest;
}

// Widths of the columns, with no sum above `width`: headings wrap first, then whatever is widest.
std::vector<int> column_widths(const std::vector<std::vector<std::string>>& rows, std::size_t columns, int width) {
  std::vector<int> widths(columns, 0), body(columns, 0), words(columns, 1);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      widths[c] = std::max(widths[c], display_width(rows[r][c]));
      if (r > 0) body[c] = std::max(body[c], display_width(rows[r][c]));
      words[c] = std::max(words[c], std::min(longest_word(rows[r][c]), kLongWord));
    }
  }
  int excess = std::accumulate(widths.begin(), widths.end(), kGap * (static_cast<int>(columns) - 1)) - width;
  // First down to what stands below the heading, then down to the words, then anything goes.
  for (int round = 0; round < 3 && excess > 0; ++round) {
    const auto least = [&](std::size_t c) {
      return round == 0 ? std::max(body[c], words[c]) : round == 1 ? words[c] : 1;
    };
    while (excess > 0) {
      std::size_t widest = columns;
      for (std::size_t c = 0; c < columns; ++c) {
        if (widths[c] > least(c) && (widest == columns || widths[c] >= widths[widest])) widest = c;
      }
      if (widest == columns) break;
      --widths[widest];
      --excess;
    }
  }
  return widths;
}

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

bool moves_cursor(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return is_terminal(stream) && (term == nullptr || std::string_view(term) != "dumb");
}

bool wants_colour(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool refused = no_color != nullptr && *no_color != '\0';
  return moves_cursor(stream) && !refused;
}

void tell(std::string_view text) {
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  std::fwrite(text.data(), 1, text.size(), stderr);
  const bool gone = std::fflush(stderr) != 0 || std::ferror(stderr) != 0;
  // The signal of whose reader is gone is this thread's, and waits.
  constexpr timespec kNow{};
  if (gone && sigismember(&before, SIGPIPE) == 0) sigtimedwait(&pipe, nullptr, &kNow);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02X}", byte) : std::string(1, c);
  }
  return out;
}

std::string shell_quoted(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return std::string(text);
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    if (!text.starts_with("\x1b[")) ++width;
    text.remove_prefix(leading_bytes(text));
  }
  return width;
}

std::string aligned_table(const std::vector<std::vector<std::string>>& rows, int width) {
  std::size_t columns = 0;
  for (const auto& row : rows) columns = std::max(columns, row.size());
  if (columns == 0) return "";
  const std::vector<int> widths = column_widths(rows, columns, width);

  std::string text;
  for (const auto& row : rows) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 1;
    for (std::size_t c = 0; c < row.size(); ++c) {
      cells.push_back(wrapped(row[c], widths[c]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t l = 0; l < lines; ++l) {
      for (std::size_t c = 0; c < cells.size(); ++c) {
        const std::string_view cell = l < cells[c].size() ? std::string_view(cells[c][l]) : std::string_view();
        text += cell;
        text.append(static_cast<std::size_t>(widths[c] - display_width(cell) + kGap), ' ');
      }
      while (text.ends_with(' ')) text.pop_back();
      text += '\n';
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

std::string duration(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string long_duration(double seconds) {
  constexpr double kDay = 24 * 3600.0, kYear = 365.25 * kDay;
  if (seconds < 2 * kDay) return duration(seconds);
  return seconds < 2 * kYear ? fmt::format("{:.0f} days", seconds / kDay)
                             : fmt::format("{:.1f} years", seconds / kYear);
}

}  // namespace polariscope
