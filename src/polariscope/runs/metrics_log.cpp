#include "polariscope/runs/metrics_log.h"

#include "polariscope/base/error.h"
#include "polariscope/base/mapped_file.h"
#include "polariscope/runs/internal/resume_point.h"

#include <fmt/compile.h>

#include <cmath>
#include <string_view>

namespace polariscope::runs {
namespace {

constexpr std::string_view kStart = R"({"step":)";

void add(fmt::memory_buffer& line, std::string_view text) { line.append(text.data(), text.data() + text.size()); }

void add_number(fmt::memory_buffer& line, double number) {
  if (std::isfinite(number)) {
    fmt::format_to(fmt::appender(line), FMT_COMPILE("{}"), number);  // the shortest text that reads back the same
  } else {
    add(line, "null");
  }
}

void add_name(fmt::memory_buffer& line, std::string_view name) {
  add(line, ",\"");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < ' ') {
      fmt::format_to(fmt::appender(line), "\\u{:04x}", c);
      continue;
    }
    if (c == '"' || c == '\\') line.push_back('\\');
    line.push_back(c);
  }
  add(line, "\":");
}

void add_list(fmt::memory_buffer& line, std::span<const double> values) {
  line.push_back('[');
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) line.push_back(',');
    add_number(line, values[i]);
  }
  line.push_back(']');
}

void add_rows(fmt::memory_buffer& line, const NamedNumbers& list) {
  if (list.values.size() % list.width != 0) {
    throw Error("metrics: \"{}\" has {} numbers: give rows of {}", list.name, list.values.size(), list.width);
  }
  line.push_back('[');
  for (std::size_t begin = 0; begin < list.values.size(); begin += list.width) {
    if (begin > 0) line.push_back(',');
    add_list(line, list.values.subspan(begin, list.width));
  }
  line.push_back(']');
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t last_step, std::int64_t needed_step)
    : file_(path, [&](std::string_view contents) {
        const LogRecord last = last_up_to<StepLines>(last_step, contents);
        if (last.step < needed_step) {
          throw Error("{} lacks steps: expected those up to {}, after which the run goes on, found {}", path.string(),
                      needed_step, last.step < 0 ? "none" : fmt::format("those up to {}", last.step));
        }
        return last.end;
      }) {}

void MetricsLog::write(std::int64_t step, std::span<const NamedNumber> numbers, std::span<const NamedNumbers> lists) {
  line_.clear();
  fmt::format_to(fmt::appender(line_), FMT_COMPILE("{}{}"), kStart, step);
  for (const NamedNumber& number : numbers) {
    add_name(line_, number.name);
    add_number(line_, number.value);
  }
  for (const NamedNumbers& list : lists) {
    add_name(line_, list.name);
    if (list.width == 0) {
      add_list(line_, list.values);
    } else {
      add_rows(line_, list);
    }
  }
  add(line_, "}\n");
  file_.append({line_.data(), line_.size()});
}

std::string lines_after(const std::filesystem::path& metrics, std::int64_t step) {
  const MappedFile file(metrics);
  return std::string(file.bytes().substr(last_up_to<StepLines>(step, file.bytes()).end));
}

}  // namespace polariscope::runs
