// A file's contents in memory without a copy.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace polariscope {

// The contents at the time of opening, read as they are touched; a file that is replaced meanwhile (write_file) stays
// as it was. One that another program shortens in place must not be touched any more: the system ends this one.
class MappedFile {
 public:
  // Throws Error for what cannot be opened or is no ordinary file (folder, pipe, device).
  explicit MappedFile(const std::filesystem::path& path);

  // Valid as long as this object or a copy of it lives.
  std::string_view bytes() const { return bytes_; }

 private:
  std::shared_ptr<void> mapping_;
  std::string_view bytes_;
};

}  // namespace polariscope
