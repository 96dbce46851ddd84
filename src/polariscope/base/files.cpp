// Atomic writes by the usual recipe: temporary file, fsync, rename, fsync of the folder.
#include "polariscope/base/files.h"

#include "polariscope/base/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace polariscope {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  // False, with errno set, if the system reports a late write error.
  bool close() {
    if (number_ < 0) return true;
    const int result = ::close(number_);
    number_ = -1;
    return result == 0;
  }

 private:
  int number_;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Beside `path`, so that the rename stays within one file system; unique among processes and threads.
std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count = 0;
  return folder_of(path) / fmt::format(".{}.{}.{}.tmp", path.filename().string(), getpid(), count++);
}

bool write_all(int descriptor, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(descriptor, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Makes the rename itself survive a power failure. Some file systems cannot sync a folder and say EINVAL.
bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return descriptor.is_open() && (fsync(descriptor.number()) == 0 || errno == EINVAL);
}

[[noreturn]] void fail(const std::filesystem::path& path, int error_number) {
  throw Error("{}: cannot be written ({}): choose a place that is writable and has space", path.string(),
              std::strerror(error_number));
}

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view contents) {
  const std::filesystem::path temporary = temporary_beside(path);
  Descriptor descriptor(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!descriptor.is_open()) fail(path, errno);
  const bool replaced = write_all(descriptor.number(), contents) && fsync(descriptor.number()) == 0 &&
                        descriptor.close() && rename(temporary.c_str(), path.c_str()) == 0;
  if (!replaced) {
    const int reason = errno;
    unlink(temporary.c_str());
    fail(path, reason);
  }
  if (!sync_folder(folder_of(path))) fail(path, errno);
}

std::string read_file(const std::filesystem::path& path) {
  const auto unreadable = [&path] {
    return Error("{}: cannot be read ({}): give a file that exists and is readable", path.string(),
                 std::strerror(errno));
  };
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.is_open()) throw unreadable();
  struct stat status = {};
  std::string contents;
  if (fstat(descriptor.number(), &status) == 0 && status.st_size > 0) {
    contents.reserve(static_cast<std::size_t>(status.st_size));
  }
  char chunk[65536];
  for (;;) {
    const ssize_t count = read(descriptor.number(), chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw unreadable();
    if (count == 0) return contents;
    contents.append(chunk, static_cast<std::size_t>(count));
  }
}

void make_folder(const std::filesystem::path& path) {
  const auto unusable = [&path](const std::string& reason) {
    return Error("{}: cannot be used as an output folder ({}): choose one that can be created and written",
                 path.string(), reason);
  };
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) throw unusable(code.message());
  if (faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0) throw unusable(std::strerror(errno));
}

}  // namespace polariscope
