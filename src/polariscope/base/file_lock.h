// A file that one process holds, for as long as it or a child that inherits the descriptor lives.
#pragma once

#include <filesystem>
#include <optional>
#include <utility>

namespace polariscope::sweep {

class FileLock {
 public:
  // Creates the file if need be. Nothing if another process holds it; throws Error if it cannot be locked at all.
  static std::optional<FileLock> take(const std::filesystem::path& path);
  // Whether any process holds it; asking takes nothing.
  static bool is_held(const std::filesystem::path& path);

  ~FileLock();
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;

  int descriptor() const { return descriptor_; }  // open for appending, closed by exec

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace polariscope::sweep
