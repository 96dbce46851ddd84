// A file that lies in memory alone, for readers that ask for a path.
#pragma once

#include <filesystem>
#include <string_view>

namespace polariscope::testing {

class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const;

 private:
  int descriptor_;
};

}  // namespace polariscope::testing
