#include "polariscope/tasks/text/internal/readable.h"

#include "polariscope/tasks/text/internal/utf8.h"

#include <fmt/format.h>

namespace polariscope::tasks::text {

std::string readable(std::string_view bytes) {
  constexpr int kLongest = 60;
  std::string line;
  int characters = 0;
  for (std::size_t at = 0; at < bytes.size(); ++characters) {
    if (characters == kLongest) return line + "…";
    const auto [value, length] = code_point_at(bytes, at);
    const std::string_view part = bytes.substr(at, length);
    at += length;
    if (part == "\n") {
      line += "\\n";
    } else if (part == "\t") {
      line += "\\t";
    } else if (part == "\r") {
      line += "\\r";
    } else if (part == "\\") {
      line += "\\\\";
    } else if (value < 0x20 || (value >= 0x7F && value < 0xA0) ||
               (value == kReplacement && part != utf8_of(kReplacement))) {
      for (const char byte : part) line += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
    } else {
      line += part;
    }
  }
  return line;
}

}  // namespace polariscope::tasks::text
