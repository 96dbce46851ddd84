// A file that one process holds, for as long as it or a child that inherits the descriptor lives.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace polariscope {

class FileLock {
 public:
  // Creates the file if need be; its holder may remove it before letting it go. Nothing if another process holds it;
  // throws Error if it cannot be locked at all.
  static std::optional<FileLock> take(const std::filesystem::path& path);
  // Whether any process holds it; asking takes nothing.
  static bool is_held(const std::filesystem::path& path);

  ~FileLock();
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;

  // Whether this is the file that `path` names: a folder that was moved, or made anew, has another or none.
  bool is_at(const std::filesystem::path& path) const;

  // Writes into the file, in place of what it holds, by whom it is held.
  void sign() const;
  // Who signed it last: "process 4711 on node12"; "another process" where nobody did.
  static std::string signature(const std::filesystem::path& path);

  int descriptor() const { return descriptor_; }  // open for appending, closed by exec

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace polariscope
