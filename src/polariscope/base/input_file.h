// A file of any size read from its beginning to its end: also a pipe or standard input.
#pragma once

#include "polariscope/base/internal/descriptor.h"

#include <cstddef>
#include <filesystem>
#include <span>

namespace polariscope {

class InputFile {
 public:
  // Throws Error for what cannot be opened.
  explicit InputFile(const std::filesystem::path& path);
  static InputFile standard_input();

  // The next bytes, at least one but at the end, where it is 0. Throws Error where it cannot be read, and Interrupted
  // where it waits for another program.
  std::size_t read(std::span<char> into);

 private:
  InputFile(std::filesystem::path path, Descriptor descriptor);

  std::filesystem::path path_;
  Descriptor descriptor_;
  bool waits_ = false;  // no ordinary file
};

}  // namespace polariscope
