// Which files a user means by a name.
#pragma once

#include "polariscope/checkpoints/checkpoint.h"

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::checkpoints {

struct Source {
  Format format = Format::kSafetensors;
  std::filesystem::path path;    // what the name means: a folder or the first file
  std::filesystem::path folder;  // with the files
  std::vector<std::filesystem::path> files;
  std::filesystem::path index;  // of a model in pieces; empty of others
};

// See Checkpoint. Throws Error where there are no files to read, with what is there instead; opens none of them but the
// index.
Source find_source(const std::string& name);

}  // namespace polariscope::checkpoints
