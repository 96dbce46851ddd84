// Atomic writes by the usual recipe: temporary file, fsync, rename, fsync of the folder. The temporary file stays
// locked as long as its process lives, so one that nobody holds is known to be left behind.
#include "polariscope/base/files.h"

#include "polariscope/base/error.h"
#include "polariscope/base/internal/descriptor.h"
#include "polariscope/base/internal/sync_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <regex>
#include <system_error>

namespace polariscope {
namespace {

constexpr std::size_t kLargestFile = 1'000'000'000;  // a device such as /dev/zero has no end

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// A new, locked file beside `path`, so that the rename stays within one file system.
struct Temporary {
  std::filesystem::path path;
  Descriptor descriptor;
};

// ".<name>.<process>.<number>.tmp", unique among living processes and their threads.
std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count = 0;
  return folder_of(path) / fmt::format(".{}.{}.{}.tmp", path.filename().string(), getpid(), count++);
}

bool is_temporary(const std::filesystem::path& path) {
  static const std::regex kPattern(R"(\..+\.\d+\.\d+\.tmp)");
  return std::regex_match(path.filename().string(), kPattern);
}

// Between the making of a file and its locking another process may take it for left behind and remove it.
bool was_removed(const Descriptor& descriptor) {
  struct stat status = {};
  return fstat(descriptor.number(), &status) == 0 && status.st_nlink == 0;
}

Temporary make_temporary(const std::filesystem::path& path) {
  for (;;) {
    Temporary made{temporary_beside(path), Descriptor()};
    made.descriptor = Descriptor(open(made.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!made.descriptor.is_open() && errno == EEXIST) continue;  // of a dead process with this one's number
    if (!made.descriptor.is_open()) return made;
    // A file system without locks gives none to anybody, so nothing is ever taken for left behind there.
    const bool contested = flock(made.descriptor.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!contested && !was_removed(made.descriptor)) return made;
  }
}

// What cannot be removed does no harm: nobody hears of it.
void remove_if_left_behind(const std::filesystem::path& temporary) {
  const Descriptor descriptor(open(temporary.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (descriptor.is_open() && flock(descriptor.number(), LOCK_EX | LOCK_NB) == 0) unlink(temporary.c_str());
}

void remove_earlier_attempts(const std::filesystem::path& path) {
  const std::string start = fmt::format(".{}.", path.filename().string());
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_of(path), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path& found = entry->path();
    if (found.filename().string().starts_with(start) && is_temporary(found)) remove_if_left_behind(found);
  }
}

// Where a link leads, so that it stays one. Throws Error where something stands that is no file: a rename would put one
// in the place of a device.
std::filesystem::path target_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path target =
      std::filesystem::is_symlink(path, error) ? std::filesystem::weakly_canonical(path, error) : path;
  const std::filesystem::file_status status = std::filesystem::status(target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
      !std::filesystem::is_directory(status)) {
    throw Error("{}: this is no file but a device, a pipe or the like: choose the name of a file", path.string());
  }
  return target;
}

}  // namespace

void write_file(const std::filesystem::path& path, std::string_view contents) {
  write_file(path, std::span(&contents, 1));
}

void write_file(const std::filesystem::path& wanted, std::span<const std::string_view> pieces) {
  const std::filesystem::path path = target_of(wanted);
  remove_earlier_attempts(path);
  const Temporary temporary = make_temporary(path);
  const Descriptor& descriptor = temporary.descriptor;
  if (!descriptor.is_open()) throw unwritable(path, errno);
  const bool replaced =
      std::all_of(pieces.begin(), pieces.end(), [&](std::string_view piece) { return write_all(descriptor, piece); }) &&
      fsync(descriptor.number()) == 0 && rename(temporary.path.c_str(), path.c_str()) == 0;
  if (!replaced) {
    const int reason = errno;
    unlink(temporary.path.c_str());
    throw unwritable(path, reason);
  }
  if (!sync_folder(folder_of(path))) throw unwritable(path, errno);
}

void remove_left_behind(const std::filesystem::path& folder) {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_temporary(entry->path())) remove_if_left_behind(entry->path());
  }
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.is_open()) throw unreadable(path, errno);
  struct stat status = {};
  std::string contents;
  if (fstat(descriptor.number(), &status) == 0 && status.st_size > 0) {
    contents.reserve(static_cast<std::size_t>(status.st_size));
  }
  char chunk[65536];
  for (;;) {
    const ssize_t count = read(descriptor.number(), chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw unreadable(path, errno);
    if (count == 0) return contents;
    if (contents.size() > kLargestFile) {
      throw Error("{}: is larger than {:g} GB: give a file of settings or arrays", path.string(), 1e-9 * kLargestFile);
    }
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
