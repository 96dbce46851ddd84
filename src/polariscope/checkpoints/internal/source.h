// Which files a user means by a name.
#pragma once

#include "polariscope/checkpoints/checkpoint.h"

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::checkpoints {

struct Source {
  Format format = Format::kSafetensors;
  std::filesystem::path path;  // what the name means: a folder or the first file
  std::filesystem::path folder;
  std::vector<std::filesystem::path> files;
};

// See Checkpoint. Throws Error where there are no files to read, with what is there instead.
Source find_source(const std::string& name);

}  // namespace polariscope::checkpoints
