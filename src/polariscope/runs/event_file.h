// Event files as TensorBoard reads them.
#pragma once

#include "polariscope/base/appended_file.h"
#include "polariscope/runs/named_numbers.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace polariscope::runs {

// Scalars over the steps of a run. TensorBoard reads the files whose name contains "tfevents". Records reach the file
// about once a second and at flush(), whole ones only (base/appended_file.h).
class EventFile {
 public:
  // Continues the file at `path`, made if it is not there, from its last record of a step up to `last_step`: cuts the
  // first record that is of a later step, or damaged, and all that follow. -1 begins anew. `wall_time`: seconds since
  // 1970, of the beginning. Throws Error where the file cannot be read and written.
  EventFile(const std::filesystem::path& path, std::int64_t last_step, double wall_time);

  // One point of each curve; a name is a tag, its part before the first "/" the group it is shown in. TensorBoard keeps
  // single precision. Steps begin with 0 and grow. Throws Error where earlier records cannot be written.
  void write(std::int64_t step, double wall_time, std::span<const NamedNumber> numbers);
  // On return the records survive a power failure: call it before a checkpoint that resumes from them is written.
  void flush() { file_.flush(); }

 private:
  void append();

  AppendedFile file_;
  std::string event_, summary_, record_;  // kept for their memory
};

}  // namespace polariscope::runs
