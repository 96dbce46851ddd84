// A run is a folder that says what run it is, so that no run overwrites another and no two processes do the same one.
#pragma once

#include "polariscope/base/file_lock.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace polariscope::runs {

// The first lines in which the texts of two config.toml differ, "" for the end of one; nothing where they are equal.
std::optional<std::pair<std::string, std::string>> first_difference(const std::string& config,
                                                                    const std::string& other);

// Creates `folder` if need be and makes it the run that `config` (the text of its config.toml) describes.
// A folder that already holds the same run is taken again, without what killed processes left half written there; one
// that holds another run, or anything else, is refused: throws Error with the first line that differs. Throws Error
// where it cannot be written. Several processes may open one folder: RunFolder is for one.
void open_run_folder(const std::filesystem::path& folder, const std::string& config);

// A run's folder, held by this process as long as the value lives; the system lets it go when the process ends,
// however it does. Meanwhile the file .lock in it says who holds it; that of a killed process stays and holds nobody
// up.
class RunFolder {
 public:
  // The run that `config` describes, as open_run_folder() has it. Throws Error where another process holds the folder.
  RunFolder(std::filesystem::path folder, const std::string& config);
  // The run that stands there, whatever its config.toml says. Throws Error where another process holds the folder.
  explicit RunFolder(std::filesystem::path folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // The text of its config.toml; "" where it has none. Throws Error where it cannot be read.
  std::string config() const;

 private:
  std::filesystem::path path_;
  FileLock lock_;
};

}  // namespace polariscope::runs
