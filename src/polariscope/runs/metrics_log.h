// metrics.jsonl: what a run measured, a JSON object a step.
#pragma once

#include "polariscope/base/appended_file.h"
#include "polariscope/runs/named_numbers.h"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace polariscope::runs {

// A line is {"step":3,"loss":0.5,"entropy":[[0.1,0.2],[0.3,null]]}: numbers read back to the same bits, NaN and
// infinity are null. Lines reach the file about once a second and at flush(), whole ones only (base/appended_file.h).
class MetricsLog {
 public:
  // Continues the log at `path`, made if it is not there, from its last line of a step up to `last_step`: cuts the
  // first line that is of a later step, or not whole, and all that follow. -1 begins anew. Throws Error where the file
  // cannot be read and written, and where that line is of a step before `needed_step`: it is left as it is then.
  MetricsLog(const std::filesystem::path& path, std::int64_t last_step, std::int64_t needed_step = -1);

  // Steps begin with 0 and grow. Throws Error where earlier lines cannot be written, or where the numbers of an entry
  // of `lists` are not rows of its width.
  void write(std::int64_t step, std::span<const NamedNumber> numbers, std::span<const NamedNumbers> lists = {});
  // On return the lines survive a power failure: call it before a checkpoint that resumes from them is written.
  void flush() { file_.flush(); }

 private:
  AppendedFile file_;
  fmt::memory_buffer line_;
};

// The lines of a metrics.jsonl behind its last one of a step up to `step`. Throws Error where it cannot be read.
std::string lines_after(const std::filesystem::path& metrics, std::int64_t step);

}  // namespace polariscope::runs
