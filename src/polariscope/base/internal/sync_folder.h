// Names of files that survive a power failure.
#pragma once

#include "polariscope/base/internal/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

namespace polariscope {

// Of the renames within it. False, with errno set, where it fails. Some file systems cannot sync a folder and say
// EINVAL.
inline bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return descriptor.is_open() && (fsync(descriptor.number()) == 0 || errno == EINVAL);
}

}  // namespace polariscope
