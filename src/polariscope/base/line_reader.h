// Lines of a file of any size, in bounded memory, as far as it is written.
#pragma once

#include "polariscope/base/internal/descriptor.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace polariscope {

// What base/appended_file.h writes, another thread or process may read while it grows. A log that a resumed run has cut
// back grows the same lines again: its reader waits until they are there.
class LineReader {
 public:
  // From byte `from` on, where a line begins. Throws Error for a file that cannot be read.
  explicit LineReader(std::filesystem::path path, std::uint64_t from = 0);

  // The next line without its end, valid until the next call; nothing as long as no further line is whole. Throws Error
  // for a file that cannot be read or a line of more than 64 MB.
  std::optional<std::string_view> next();

  std::uint64_t offset() const { return offset_; }  // of the line after the last one given
  std::int64_t lines() const { return lines_; }     // given so far

 private:
  bool read_more();

  std::filesystem::path path_;
  Descriptor descriptor_;
  std::string buffer_;      // read, of which what is before begin_ was given
  std::size_t begin_ = 0;   // of the next line
  std::size_t looked_ = 0;  // up to here there is no end of that line
  std::uint64_t offset_;
  std::int64_t lines_ = 0;
};

}  // namespace polariscope
