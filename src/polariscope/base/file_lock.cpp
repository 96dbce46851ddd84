// Locks of open file descriptions: they pass to children, end with the last holder, and can be asked for.
#include "polariscope/base/file_lock.h"

#include "polariscope/base/error.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace polariscope::sweep {
namespace {

struct flock whole_file() {
  struct flock region = {};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  return region;
}

}  // namespace

std::optional<FileLock> FileLock::take(const std::filesystem::path& path) {
  FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  struct flock region = whole_file();
  if (lock.descriptor_ >= 0 && fcntl(lock.descriptor_, F_OFD_SETLK, &region) == 0) return lock;
  if (lock.descriptor_ >= 0 && (errno == EAGAIN || errno == EACCES)) return std::nullopt;
  throw Error("{}: cannot be locked ({}): choose a folder that is writable and has locks", path.string(),
              std::strerror(errno));
}

bool FileLock::is_held(const std::filesystem::path& path) {
  const FileLock probe(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct flock region = whole_file();
  return probe.descriptor_ >= 0 && fcntl(probe.descriptor_, F_OFD_GETLK, &region) == 0 && region.l_type != F_UNLCK;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace polariscope::sweep
