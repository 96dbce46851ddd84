#include "polariscope/runs/logged_step.h"

#include "polariscope/base/error.h"
#include "polariscope/base/file_part.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <system_error>

namespace polariscope::runs {
namespace {

using nlohmann::json;

double number_of(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::vector<double>> heads_of(const json& layers) {
  std::vector<std::vector<double>> values;
  for (const json& layer : layers) {
    std::vector<double>& row = values.emplace_back();
    for (const json& head : layer) row.push_back(number_of(head));
  }
  return values;
}

// From the last line up: the end of a log may be a part of a line, or one that a failing disk spoilt.
std::optional<LoggedStep> last_step_in(std::string_view bytes, bool whole_file) {
  std::size_t end = bytes.rfind('\n');
  while (end != std::string_view::npos) {
    const std::size_t before = end == 0 ? std::string_view::npos : bytes.rfind('\n', end - 1);
    if (before == std::string_view::npos && !whole_file) return std::nullopt;
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    if (auto step = logged_step(bytes.substr(begin, end - begin))) return step;
    end = before;
  }
  return std::nullopt;
}

}  // namespace

std::optional<LoggedStep> logged_step(std::string_view line) {
  const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return std::nullopt;
  LoggedStep step;
  bool has_step = false;
  for (const auto& [name, value] : parsed.items()) {
    if (name == "step") {
      if (!value.is_number_integer()) return std::nullopt;
      step.step = value.get<std::int64_t>();
      has_step = true;
    } else if (value.is_array()) {
      step.heads.push_back({name, heads_of(value)});
    } else {
      step.numbers.push_back({name, number_of(value)});
    }
  }
  if (!has_step) return std::nullopt;
  return step;
}

std::optional<LoggedStep> last_logged_step(const std::filesystem::path& metrics) {
  constexpr std::size_t kFirstLook = 64 << 10, kFarthest = 64 << 20;
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(metrics, unknown)) return std::nullopt;
  const std::uintmax_t length = std::filesystem::file_size(metrics, unknown);
  if (unknown) return std::nullopt;
  try {
    for (std::size_t size = kFirstLook; size <= kFarthest; size *= 4) {
      const std::uintmax_t from = length - std::min<std::uintmax_t>(length, size);
      if (auto step = last_step_in(read_part(metrics, from, size), from == 0)) return step;
      if (from == 0) break;
    }
  } catch (const Error&) {
    return std::nullopt;  // gone meanwhile, or not to be read
  }
  return std::nullopt;
}

double mean_of_finite(const std::vector<double>& values) {
  double sum = 0.0;
  int count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace polariscope::runs
