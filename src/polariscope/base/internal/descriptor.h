// An open file of the system, and how it is written and complained about.
#pragma once

#include "polariscope/base/error.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace polariscope {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() {
    if (is_open()) close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

// False, with errno set, where a part or all of it could not be written.
inline bool write_all(const Descriptor& descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

inline Error unwritable(const std::filesystem::path& path, int error_number) {
  return Error("{}: cannot be written ({}): choose a place that is writable and has space", path.string(),
               std::strerror(error_number));
}

inline Error unreadable(const std::filesystem::path& path, int error_number) {
  return Error("{}: cannot be read ({}): give a file that exists and is readable", path.string(),
               std::strerror(error_number));
}

}  // namespace polariscope
