#include "polariscope/report/internal/html.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <regex>
#include <stdexcept>

namespace polariscope::report {

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '\0': out += "\xEF\xBF\xBD"; break;  // U+FFFD: HTML has no NUL
      default: out += c;
    }
  }
  return out;
}

std::string escape_with_numbers(std::string_view text) {
  static const std::regex kSignedNumber(R"((-\d[\d.]*(e[-+]?\d+)?|\d[\d.]*e-\d+))");
  return std::regex_replace(escape(text), kSignedNumber, R"(<span class="number">$&</span>)");
}

std::string anchor(std::string_view prefix, std::string_view text) {
  std::string out(prefix);
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("_{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string script_json(const nlohmann::json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    // Outside its strings JSON has no '<', and inside them the escape means the same.
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string fill(std::string_view skeleton, const std::vector<std::pair<std::string_view, std::string>>& slots) {
  std::string out;
  while (true) {
    const std::size_t open = skeleton.find("{{");
    if (open == std::string_view::npos) break;
    const std::size_t close = skeleton.find("}}", open);
    if (close == std::string_view::npos) throw std::logic_error("page skeleton: a slot is not closed");
    const std::string_view name = skeleton.substr(open + 2, close - open - 2);
    const auto slot = std::ranges::find(slots, name, &std::pair<std::string_view, std::string>::first);
    if (slot == slots.end()) throw std::logic_error(fmt::format("page skeleton: nothing fills {}", name));
    out += skeleton.substr(0, open);
    out += slot->second;
    skeleton.remove_prefix(close + 2);
  }
  return out += skeleton;
}

}  // namespace polariscope::report
