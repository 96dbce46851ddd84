// A file system that is easily filled, for tests of a full or read-only disk.
#pragma once

#include "support/temporary_folder.h"

#include <filesystem>
#include <string>

namespace polariscope::testing {

// A tmpfs of `kilobytes` that only this process sees. Root mounts it in a mount namespace of its own,
// others in a user namespace where the system allows that.
class SmallDisk {
 public:
  explicit SmallDisk(int kilobytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // Why there is no disk, for GTEST_SKIP; "" if there is one.
  const std::string& unavailable() const { return unavailable_; }
  const std::filesystem::path& path() const { return folder_.path(); }
  void make_read_only();

 private:
  TemporaryFolder folder_;
  std::string unavailable_;
};

}  // namespace polariscope::testing
