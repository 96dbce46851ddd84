#include "polariscope/report/internal/numbers.h"

#include "polariscope/base/error.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace polariscope::report {

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char text[32];  // the longest shortest form, "-2.2250738585072014e-308", has 24 characters
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  return std::string(text, end);
}

nlohmann::json number_to_json(double number) {
  if (std::isfinite(number)) return number;
  return number_text(number);
}

double number_from_json(const nlohmann::json& json) {
  if (json.is_number()) return json.get<double>();
  if (json.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
  }
  throw Error("report: expected a number, \"nan\", \"inf\" or \"-inf\", found {}", json.dump());
}

nlohmann::json plotted(double number) {
  if (!std::isfinite(number)) return nullptr;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::general, 7).ptr;
  double rounded = number;
  const auto read = std::from_chars(text, end, rounded);
  // Rounding up next to the largest double overflows; the unrounded number is as good.
  return read.ec == std::errc{} && std::isfinite(rounded) ? rounded : number;
}

}  // namespace polariscope::report
