// A file written from its beginning to its end, of any size: within a folder that is put in place as a whole.
#pragma once

#include "polariscope/base/internal/descriptor.h"

#include <filesystem>
#include <string_view>

namespace polariscope {

class OutputFile {
 public:
  // A new file. Throws Error where it cannot be made or is there already.
  explicit OutputFile(std::filesystem::path path);

  // Throws Error where not all can be written.
  void write(std::string_view bytes);
  // From here on it survives a power failure. Throws Error where that fails.
  void sync();

 private:
  std::filesystem::path path_;
  Descriptor descriptor_;
};

}  // namespace polariscope
