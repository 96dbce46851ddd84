// Locks of open file descriptions: they pass to children, end with the last holder, and can be asked for.
#include "polariscope/base/file_lock.h"

#include "polariscope/base/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace polariscope {
namespace {

struct flock whole_file() {
  struct flock region = {};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  return region;
}

// Its last holder may have removed it between the opening and the locking: the next one would lock another file.
bool is_removed(int descriptor) {
  struct stat status = {};
  return fstat(descriptor, &status) == 0 && status.st_nlink == 0;
}

}  // namespace

std::optional<FileLock> FileLock::take(const std::filesystem::path& path) {
  for (;;) {
    FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    struct flock region = whole_file();
    const bool taken = lock.descriptor_ >= 0 && fcntl(lock.descriptor_, F_OFD_SETLK, &region) == 0;
    if (taken && is_removed(lock.descriptor_)) continue;
    if (taken) return lock;
    if (lock.descriptor_ >= 0 && (errno == EAGAIN || errno == EACCES)) return std::nullopt;
    throw Error("{}: cannot be locked ({}): choose a folder that is writable and has locks", path.string(),
                std::strerror(errno));
  }
}

bool FileLock::is_held(const std::filesystem::path& path) {
  const FileLock probe(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct flock region = whole_file();
  return probe.descriptor_ >= 0 && fcntl(probe.descriptor_, F_OFD_GETLK, &region) == 0 && region.l_type != F_UNLCK;
}

bool FileLock::is_at(const std::filesystem::path& path) const {
  struct stat held = {}, found = {};
  return fstat(descriptor_, &held) == 0 && stat(path.c_str(), &found) == 0 && held.st_dev == found.st_dev &&
         held.st_ino == found.st_ino;
}

void FileLock::sign() const {
  utsname system = {};
  uname(&system);
  const std::string holder = fmt::format("process {} on {}\n", getpid(), static_cast<const char*>(system.nodename));
  // Only for those who are refused: where it cannot be written they hear of another process.
  const bool signed_it = ftruncate(descriptor_, 0) == 0 &&
                         write(descriptor_, holder.data(), holder.size()) == static_cast<ssize_t>(holder.size());
  static_cast<void>(signed_it);
}

std::string FileLock::signature(const std::filesystem::path& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line.starts_with("process ") ? line : "another process";
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace polariscope
