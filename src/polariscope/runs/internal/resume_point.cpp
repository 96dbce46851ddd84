#include "polariscope/runs/internal/resume_point.h"

#include <algorithm>
#include <charconv>

namespace polariscope::runs {

std::optional<LogRecord> StepLines::read(std::string_view contents, std::size_t at) {
  constexpr std::string_view kStart = R"({"step":)";
  const std::size_t end = contents.find('\n', at);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = contents.substr(at, end - at);
  if (!line.starts_with(kStart) || !line.ends_with('}')) return std::nullopt;
  std::int64_t step = 0;
  const auto number = std::from_chars(line.data() + kStart.size(), line.data() + line.size(), step);
  if (number.ec != std::errc{} || (*number.ptr != ',' && *number.ptr != '}')) return std::nullopt;
  return LogRecord{.end = end + 1, .step = step};
}

std::size_t StepLines::next(std::string_view contents, std::size_t at) {
  if (at == 0) return 0;
  const std::size_t end = contents.find('\n', at - 1);
  return end == std::string_view::npos ? contents.size() : end + 1;
}

}  // namespace polariscope::runs
