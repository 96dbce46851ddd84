// Where a log goes on: found from its end, so that a resume reads a few KB of it, however long it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polariscope::runs {

// A whole record in a log: where it ends, and the step it is of.
struct LogRecord {
  std::size_t end = 0;
  std::int64_t step = 0;
};

// The last of a log's records to keep: what lies before the first one that is of a step above last_step, or not whole;
// end 0 and step -1 where there is none. What is damaged far before its end is not seen. Format says how records lie in
// the bytes:
//   std::optional<LogRecord> read(contents, at)  the one that begins at `at`; nothing where none that is whole does
//   std::size_t next(contents, at)               where the first at or after `at` begins, contents.size() if none does
template <class Format>
LogRecord last_up_to(std::int64_t last_step, std::string_view contents) {
  constexpr std::size_t kFirstLook = 64 << 10;
  for (std::size_t look = kFirstLook;; look *= 2) {
    const std::size_t at = look < contents.size() ? Format::next(contents, contents.size() - look) : 0;
    std::optional<LogRecord> record = Format::read(contents, at);
    const bool begins_too_late = !record || record->step > last_step;
    if (begins_too_late && at > 0) continue;
    LogRecord last{.end = 0, .step = -1};
    for (; record && record->step <= last_step; record = Format::read(contents, last.end)) last = *record;
    return last;
  }
}

// Lines that begin with {"step":N and are JSON objects by the looks of their ends, as MetricsLog and Alarms write them.
struct StepLines {
  static std::optional<LogRecord> read(std::string_view contents, std::size_t at);
  static std::size_t next(std::string_view contents, std::size_t at);
};

}  // namespace polariscope::runs
