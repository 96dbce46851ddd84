#include "polariscope/runs/logged_step.h"

#include "polariscope/base/internal/descriptor.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

// The file's last `size` bytes, or all of them; "" where it cannot be read.
std::string end_of(const Descriptor& file, std::size_t length, std::size_t size) {
  std::string bytes(std::min(length, size), '\0');
  const ssize_t count = pread(file.number(), bytes.data(), bytes.size(), static_cast<off_t>(length - bytes.size()));
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return bytes;
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

std::optional<LoggedStep> last_logged_step(const std::string& metrics) {
  constexpr std::size_t kFirstLook = 64 << 10, kFarthest = 64 << 20;
  const Descriptor file(open(metrics.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!file.is_open() || fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto length = static_cast<std::size_t>(status.st_size);
  for (std::size_t size = kFirstLook; size <= kFarthest; size *= 4) {
    if (auto step = last_step_in(end_of(file, length, size), size >= length)) return step;
    if (size >= length) break;
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
