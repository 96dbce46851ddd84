// A log that only grows, by whole records.
#pragma once

#include "polariscope/base/internal/descriptor.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace polariscope {

// Records wait in memory for at most about a second of appending. A write that fails is taken back, so that the file
// ends with a whole record; only a process killed in the middle of one, or a power failure, leaves a part.
// For one thread and one process at a time.
class AppendedFile {
 public:
  // How many of a file's first bytes are worth keeping.
  using Keep = std::function<std::size_t(std::string_view contents)>;

  // Opens `path`, made if it is not there, and cuts what `keep` does not keep. Throws Error where that fails.
  AppendedFile(std::filesystem::path path, const Keep& keep);
  // Writes what waits. A failure goes unheard: flush() first.
  ~AppendedFile();
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;

  // Throws Error where the records that wait cannot be written; they go on waiting.
  void append(std::string_view record);
  // Writes all that waits, so that it survives a power failure; takes milliseconds. Throws Error where that fails.
  void flush();

  // Bytes of the file and of what waits.
  std::size_t size() const { return written_ + waiting_.size(); }

 private:
  void write_waiting();

  std::filesystem::path path_;
  Descriptor descriptor_;
  std::size_t written_ = 0;
  std::string waiting_;
  std::chrono::steady_clock::time_point last_write_;
};

}  // namespace polariscope
