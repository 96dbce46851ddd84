// A folder that lives as long as the test or benchmark that made it.
#pragma once

#include <filesystem>

namespace polariscope::testing {

// Made under the system's folder for temporary files, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Number of entries of a folder: shows that nothing was left behind.
int entries(const std::filesystem::path& folder);

}  // namespace polariscope::testing
