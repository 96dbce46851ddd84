// A folder of files that is either whole or absent.
#pragma once

#include "polariscope/base/file_lock.h"

#include <filesystem>
#include <optional>

namespace polariscope {

class WholeFolder {
 public:
  // Makes an empty folder beside `wanted`, and the folders above it; removes what killed processes left of earlier
  // attempts. Throws Error where that fails.
  explicit WholeFolder(const std::filesystem::path& wanted);
  // Removes it with all that is in it, unless it was put in place.
  ~WholeFolder();
  WholeFolder(const WholeFolder&) = delete;
  WholeFolder& operator=(const WholeFolder&) = delete;

  const std::filesystem::path& path() const { return made_; }  // where its files are made

  // Gives it the wanted name, from which what was there is removed, so that it survives a power failure where its files
  // do. Throws Error where that fails; then what was there is still there.
  void put_in_place();

 private:
  std::filesystem::path wanted_, made_;
  std::optional<FileLock> lock_;  // as long as its process lives
};

}  // namespace polariscope
